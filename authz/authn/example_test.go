package authn_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/authn"
)

type header map[string]string

func (h header) Field(name string) ([]byte, int) {
	if v, ok := h[name]; ok {
		return []byte(v), 1
	}
	return nil, 0
}

func Example() {
	dir, _ := os.MkdirTemp("", "keys")
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "keys.yaml")
	_ = os.WriteFile(file, []byte("keys:\n- id: ci\n  sha256: 2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683 # of \"key\"\n"), 0o600)

	keys := authn.NewAPIKeys(authn.APIKeyConfig{File: file})
	if _, err := keys.Load(); err != nil {
		fmt.Println(err)
	}
	for _, h := range []header{{}, {"authorization": "Bearer key"}, {"x-api-key": "guess"}} {
		id, v := keys.Try(&authz.Request{Fields: h})
		fmt.Println(v, id != nil)
	}
	// Output:
	// deny false
	// allow true
	// challenge false
}
