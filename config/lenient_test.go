package config

import "testing"

// A health check asks the running proxy, whatever was done to its file since.
func TestProbesAddressDespiteFaults(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"version: 1\nprobes: {address: \"127.0.0.1:1\"}\ndrain2: {}\n", "127.0.0.1:1"},
		{"version: 7\nprobes:\n  address: \":2\"\n  typo: 1\nlisteners: 3\n", ":2"},
		{"probes: []\n", Default().Probes.Address},
		{"", Default().Probes.Address},
	} {
		if got, err := ProbesAddress("f", []byte(tt.text)); got != tt.want || err != nil {
			t.Errorf("%q: %q, %v; want %q", tt.text, got, err, tt.want)
		}
	}
	if _, err := ProbesAddress("f", []byte("a: [")); err == nil {
		t.Error("what is no YAML was read")
	}
}
