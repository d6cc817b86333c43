package oidc

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

const maxSecret = 4 << 10 // bytes

// Secret is a client secret in a file, which may change while we run. Safe for concurrent use.
type Secret struct {
	file  string
	value atomic.Pointer[string]
}

// NewSecret returns a secret that was not read yet.
func NewSecret(file string) *Secret { return &Secret{file: file} }

// Load reads the file; space around the secret does not count. On an error what was in force stays.
func (s *Secret) Load() (changed bool, err error) {
	text, err := readSecret(s.file)
	if err != nil {
		return false, err
	}
	old := s.value.Swap(&text)
	return old == nil || *old != text, nil
}

// CheckSecret says what is wrong with a file, as Load would.
func CheckSecret(file string) error {
	_, err := readSecret(file)
	return err
}

func readSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read client secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("read client secret: %w", err)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || len(b) > maxSecret || bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' }) {
		return "", fmt.Errorf("read client secret: %s: one line of 1 to %d bytes is wanted", file, maxSecret)
	}
	return string(b), nil
}

// known returns the secret, if there is one by now.
func (s *Secret) known() (string, bool) {
	if s == nil {
		return "", true
	}
	v := s.value.Load()
	if v == nil {
		return "", false
	}
	return *v, true
}
