package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeyFile = 64 << 10 // bytes
	maxKeys    = 16
)

// keys are those of one reading of a file.
type keys struct {
	text   string
	signer jose.Signer // by the first key
	count  int
	public []byte // the JWK Set of all
}

// CheckFile says what is wrong with a file of keys, as Load would.
func CheckFile(name string) error {
	_, err := readKeys(name)
	return err
}

func readKeys(name string) (*keys, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read keys of assertions: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read keys of assertions: %w", err)
	}
	if len(src) > maxKeyFile {
		return nil, fmt.Errorf("read keys of assertions: %s: larger than %d bytes", name, maxKeyFile)
	}
	k, err := parseKeys(src)
	if err != nil {
		return nil, fmt.Errorf("read keys of assertions: %s: %w", name, err)
	}
	return k, nil
}

// parseKeys reads private keys in PEM. The first signs, and the public halves of all are published.
func parseKeys(src []byte) (*keys, error) {
	k := &keys{text: string(src)}
	var set jose.JSONWebKeySet
	for rest := src; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type == "EC PARAMETERS" { // what openssl ecparam -genkey writes before the key
			continue
		}
		if k.count++; k.count > maxKeys {
			return nil, fmt.Errorf("more than %d keys", maxKeys)
		}
		private, alg, err := privateKey(block)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", k.count, err)
		}
		jwk := jose.JSONWebKey{Key: private.Public(), Algorithm: string(alg), Use: "sig"}
		print, err := jwk.Thumbprint(crypto.SHA256) // RFC 7638
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", k.count, err)
		}
		jwk.KeyID = base64.RawURLEncoding.EncodeToString(print)
		if len(set.Key(jwk.KeyID)) > 0 {
			return nil, fmt.Errorf("key %d is in the file twice", k.count)
		}
		set.Keys = append(set.Keys, jwk)
		if k.signer != nil {
			continue
		}
		options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", jwk.KeyID)
		if k.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: private}, options); err != nil {
			return nil, fmt.Errorf("key %d: %w", k.count, err)
		}
	}
	if k.count == 0 {
		return nil, errors.New("no private key in PEM (openssl genpkey -algorithm ed25519 writes one)")
	}
	var err error
	k.public, err = json.Marshal(set)
	return k, err
}

func privateKey(block *pem.Block) (crypto.Signer, jose.SignatureAlgorithm, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, "", fmt.Errorf("%q is not a private key without a passphrase", block.Type)
	}
	if err != nil {
		return nil, "", err
	}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return key, jose.EdDSA, nil
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			return key, jose.ES256, nil
		}
	}
	return nil, "", errors.New("neither Ed25519 nor P-256: others take too long to sign, or are not common")
}
