package main

import "testing"

// Names come from whoever made a token or a certificate; none moves the operator's terminal.
func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"user ada, groups [eng]\n":     "user ada, groups [eng]\n",
		"ü 日本":                         "ü 日本",
		"a\x1b]0;owned\x07":            `a\x1b]0;owned\a`,
		"a\u009b31m\rdeny\tb\u202egnp": `a\u009b31m\rdeny\tb\u202egnp`,
		"bad \xff":                     "bad \ufffd",
	} {
		if got := visible(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
