package policysync

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"aead.dev/minisign"
)

// key is a key pair that is the same in every run.
func key(t testing.TB, seed byte) (minisign.PublicKey, minisign.PrivateKey) {
	t.Helper()
	public, private, err := minisign.GenerateKey(rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func trustIn(t testing.TB, threshold int, keys ...minisign.PublicKey) *Trust {
	t.Helper()
	trust, err := NewTrust(keys, threshold)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

const someManifest = `{"version":7,"objects":{}}` + "\n"

// What a store may do to a head, and whether it is believed then.
func TestTrust(t *testing.T) {
	pub1, key1 := key(t, 1)
	pub2, key2 := key(t, 2)
	_, stranger := key(t, 3)
	m := []byte(someManifest)
	one, two, foreign := minisign.Sign(key1, m), minisign.Sign(key2, m), minisign.Sign(stranger, m)
	other := []byte(`{"version":8,"objects":{}}` + "\n")
	for name, tt := range map[string]struct {
		raw       []byte
		threshold int
		want      string // of the error; empty: believed
	}{
		"signed by one":                        {JoinHead(m, one), 1, ""},
		"signed by the other":                  {JoinHead(m, two), 1, ""},
		"signed by both":                       {JoinHead(m, one, two), 2, ""},
		"a stranger's signature beside it":     {JoinHead(m, foreign, one), 1, ""},
		"without the last newline":             {bytes.TrimSuffix(JoinHead(m, one), []byte("\n")), 1, ""},
		"stripped":                             {m, 1, "the head is not signed"},
		"stripped, without newline":            {bytes.TrimSpace(m), 1, "the head is not signed"},
		"empty":                                {nil, 1, "the head is not signed"},
		"signed by a stranger":                 {JoinHead(m, foreign), 1, "0 valid signatures of the configured keys, and 1 are needed"},
		"signed by one of two that are needed": {JoinHead(m, one), 2, "1 valid signatures"},
		"the same signature twice":             {JoinHead(m, one, one), 2, "1 valid signatures"},
		"one signature and a stranger's":       {JoinHead(m, one, foreign), 2, "1 valid signatures"},
		"another manifest":                     {JoinHead(other, one), 1, "0 valid signatures"},
		"a byte changed":                       {bytes.Replace(JoinHead(m, one), []byte("7"), []byte("9"), 1), 1, "0 valid signatures"},
		"the trusted comment changed":          {bytes.Replace(JoinHead(m, one), []byte("\ntrusted comment: "), []byte("\ntrusted comment: x"), 1), 1, "0 valid signatures"},
		"blank lines before the signature":     {append(bytes.Clone(m), append([]byte("\n\n"), one...)...), 1, "0 valid signatures"},
		"something behind the signature":       {append(JoinHead(m, one), "x\n"...), 1, "what follows signature 1 of the head is none"},
		"a signature cut short":                {JoinHead(m, one)[:len(m)+len(one)/2], 1, "signature 1 of the head is cut short"},
		"a signature without a manifest":       {one, 1, "signatures and no manifest"},
		"too many signatures":                  {JoinHead(m, append(slicesOf(foreign, maxSignatures), one)...), 1, "more than 16 signatures"},
		"a long signature":                     {append(bytes.Clone(m), minisign.SignWithComments(key1, m, "", strings.Repeat("x", maxSignature))...), 1, "bytes; at most 4096"},
	} {
		got, err := trustIn(t, tt.threshold, pub1, pub2).Verify(tt.raw)
		switch {
		case tt.want == "" && (err != nil || !bytes.Equal(got, m)):
			t.Errorf("%s: %q, %v", name, got, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %q, %v; want %s", name, got, err, tt.want)
		}
	}
}

func slicesOf(b []byte, n int) (list [][]byte) {
	for range n {
		list = append(list, b)
	}
	return list
}

// The zero value believes nobody, and nothing that is set makes it believe without a signature.
func TestTrustByDefault(t *testing.T) {
	public, private := key(t, 1)
	raw := JoinHead([]byte(someManifest), minisign.Sign(private, []byte(someManifest)))
	if _, err := new(Trust).Verify(raw); err == nil {
		t.Error("the zero value believed")
	}
	for _, tt := range []struct {
		keys      []minisign.PublicKey
		threshold int
	}{{nil, 0}, {nil, 1}, {[]minisign.PublicKey{public}, 0}, {[]minisign.PublicKey{public}, -1}, {[]minisign.PublicKey{public}, 2}} {
		if _, err := NewTrust(tt.keys, tt.threshold); err == nil {
			t.Errorf("%d keys of which %d must sign were taken", len(tt.keys), tt.threshold)
		}
	}
	trust := trustIn(t, 1, public)
	if err := trust.Set(nil, 1); err == nil {
		t.Error("no keys were taken")
	}
	if _, err := trust.Verify(raw); err != nil {
		t.Errorf("after a change that was refused: %v", err)
	}
	next, _ := key(t, 2)
	if err := trust.Set([]minisign.PublicKey{next}, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Verify(raw); err == nil {
		t.Error("a key that was taken away still counts")
	}
}

func TestParseKeys(t *testing.T) {
	one, _ := key(t, 1)
	two, _ := key(t, 2)
	text, err := one.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys([]byte("# of the pipeline\n" + string(text) + "\n\r\n" + two.String() + "\r\n"))
	if err != nil || len(keys) != 2 || !keys[0].Equal(one) || !keys[1].Equal(two) {
		t.Errorf("got %v, %v", keys, err)
	}
	renamed := []byte(two.String()) // the same key under another ID
	renamed[4]++
	for text, want := range map[string]string{
		"":                                    "there is no key in it",
		"# none":                              "there is no key in it",
		"RWQx":                                "line 1: this is not a public key of minisign",
		one.String() + "\n" + one.String():    "line 2: this key is there already",
		two.String() + "\n" + string(renamed): "line 2: this key is there already",
		one.String() + two.String():           "line 1: this is not a public key of minisign",
	} {
		if keys, err := ParseKeys([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %s", text, keys, err, want)
		}
	}
}

// What is not believed is refused by that reason, before anything of it was parsed.
func TestOpenHead(t *testing.T) {
	public, private := key(t, 1)
	trust := trustIn(t, 1, public)
	sign := func(m string) []byte { return JoinHead([]byte(m), minisign.Sign(private, []byte(m))) }
	for name, tt := range map[string]struct {
		raw   []byte
		trust *Trust
		want  Reason // empty: opened
	}{
		"signed":                          {sign(someManifest), trust, ""},
		"signed, and nobody asks":         {sign(someManifest), nil, ""},
		"unsigned, of many lines":         {[]byte("{\n  \"version\": 7,\n  \"objects\": {}\n}\n"), nil, ""},
		"unsigned, without newline":       {[]byte(`{"version":7,"objects":{}}`), nil, ""},
		"unsigned":                        {[]byte(someManifest), trust, BadSignature},
		"unsigned and no manifest":        {[]byte("]["), trust, BadSignature},
		"signed and no manifest":          {sign("][\n"), trust, Unreadable},
		"no manifest":                     {[]byte("]["), nil, Unreadable},
		"a broken signature, nobody asks": {append([]byte(someManifest), "untrusted comment: x\n"...), nil, Unreadable},
		"a large manifest":                {sign(`{"version":7,` + strings.Repeat(" ", maxManifest) + `"objects":{}}` + "\n"), trust, Oversized},
		"a large head":                    {make([]byte, MaxRawHead+1), trust, Oversized},
	} {
		h, err := OpenHead(tt.raw, tt.trust)
		var refusal *Refusal
		switch {
		case tt.want == "" && (err != nil || h.Version.Number != 7 || !bytes.Equal(h.Raw, tt.raw)):
			t.Errorf("%s: %+v, %v", name, h, err)
		case tt.want != "" && (!errors.As(err, &refusal) || refusal.Reason != tt.want || refusal.Version.Number != 0 || refusal.Version.Hash != hashOf(tt.raw)):
			t.Errorf("%s: %+v, %#v; want %s", name, h, err, tt.want)
		}
	}
	// Another signature over the same manifest is the same version.
	a, errA := OpenHead([]byte(someManifest), nil)
	b, errB := OpenHead(sign(someManifest), trust)
	if a.Version != b.Version || errA != nil || errB != nil {
		t.Errorf("%v, %v; %v, %v", a.Version, errA, b.Version, errB)
	}
}

// Whatever a store gives: it comes apart into what it is made of, and only the exact bytes of a
// manifest that was signed are believed.
func FuzzRawHead(f *testing.F) {
	public, private := key(f, 1)
	trust := trustIn(f, 1, public)
	signature := minisign.Sign(private, []byte(someManifest))
	f.Add([]byte(someManifest), []byte(""))
	f.Add(JoinHead([]byte(someManifest), signature), signature)
	f.Add([]byte(someManifest), signature)
	f.Add([]byte("{\n}\nuntrusted comment: \n\n\n"), []byte("x\nuntrusted comment: a\nb\ntrusted comment: c\nd"))
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		raw := append(bytes.Clone(head), tail...)
		manifest, signatures, err := SplitHead(raw)
		if err == nil {
			if whole := append(bytes.Clone(manifest), bytes.Join(signatures, nil)...); !bytes.Equal(whole, raw) {
				t.Fatalf("%q came apart into %q", raw, whole)
			}
			for _, s := range signatures {
				if lines := bytes.Count(bytes.TrimSuffix(s, []byte("\n")), []byte("\n")); lines != 3 || !bytes.HasPrefix(s, []byte(signatureMark)) {
					t.Fatalf("%q was taken for a signature", s)
				}
			}
			if len(signatures) > 0 && !bytes.HasSuffix(manifest, []byte("\n")) {
				t.Fatalf("the manifest %q has no newline at its end", manifest)
			}
		}
		// The oracle: the key has signed nothing but someManifest.
		h, err := OpenHead(raw, trust)
		if signed := bytes.HasPrefix(raw, []byte(someManifest+signatureMark)); err == nil && (!signed || h.Version.Number != 7) {
			t.Fatalf("believed %q", raw)
		}
		unsigned, openErr := OpenHead(raw, nil)
		if err == nil && (openErr != nil || unsigned.Version != h.Version) {
			t.Fatalf("with keys it is %v, without %v, %v", h.Version, unsigned.Version, openErr)
		}
		// What is signed by the key is believed, whatever else stands beside it.
		if m, s, err := SplitHead(raw); err == nil && len(s) < maxSignatures && bytes.Equal(m, []byte(someManifest)) {
			if _, err := trust.Verify(JoinHead(m, append(s, signature)...)); err != nil {
				t.Fatalf("%q with a signature: %v", raw, err)
			}
		}
	})
}
