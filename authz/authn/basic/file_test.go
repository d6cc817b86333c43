package basic

import (
	"fmt"
	"strings"
	"testing"
)

func TestFaultsOfFile(t *testing.T) {
	good := bcrypted(t, "x")
	a2 := argon("x")
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"# nobody\n", "there is no user"},
		"no hash":          {"ann\n", "f:1:1 error [bad-value] user \"ann\": not a hash"},
		"plain":            {"ok:" + good + "\nann:secret\n", "f:2:1 error [bad-value] user \"ann\": not a hash"},
		"md5":              {"ann:$apr1$aaaaaaaa$bbbbbbbbbbbbbbbbbbbbbb", "not a hash"},
		"no user":          {":" + good, "f:1:1 error [bad-value] a line is"},
		"space":            {" ann:" + good, "f:1:1 error [bad-value] a line is"},
		"control":          {"a\x85n:" + good, "f:1:1 error [bad-value] a line is"},
		"twice":            {"ann:" + good + "\nbob:" + good + "\nann:" + good, "f:3:1 error [duplicate-name] user \"ann\" is defined twice; first in line 1"},
		"cut":              {"ann:" + good[:59], "60 characters"},
		"odd bcrypt":       {"ann:" + good[:59] + "!", "60 characters"},
		"cheap bcrypt":     {"ann:" + strings.Replace(good, "$10$", "$09$", 1), "not 10 to 14"},
		"costly bcrypt":    {"ann:" + strings.Replace(good, "$10$", "$15$", 1), "not 10 to 14"},
		"signed bcrypt":    {"ann:" + strings.Replace(good, "$10$", "$+9$", 1), "not 10 to 14"},
		"argon2i":          {"ann:" + strings.Replace(a2, "argon2id", "argon2i", 1), "not a hash"},
		"argon2 version":   {"ann:" + strings.Replace(a2, "v=19", "v=16", 1), "version 19"},
		"argon2 memory":    {"ann:" + strings.Replace(a2, "m=64", "m=65537", 1), "m of argon2id is not 1 to 65536"},
		"argon2 passes":    {"ann:" + strings.Replace(a2, "t=1", "t=5", 1), "t of argon2id is not 1 to 4"},
		"argon2 no passes": {"ann:" + strings.Replace(a2, "t=1", "t=0", 1), "t of argon2id is not 1 to 4"},
		"argon2 lanes":     {"ann:" + strings.Replace(a2, "p=2", "p=5", 1), "p of argon2id is not 1 to 4"},
		"argon2 little":    {"ann:" + strings.Replace(a2, "m=64", "m=15", 1), "less than 8 KiB"},
		"argon2 order":     {"ann:" + strings.Replace(a2, "m=64,t=1", "t=1,m=64", 1), "m of argon2id"},
		"argon2 salt":      {"ann:" + strings.Replace(a2, "c2FsdHNhbHQ", "c2Fs", 1), "a salt of 8"},
		"argon2 cut":       {"ann:" + a2[:len(a2)-30], "a hash of 16"},
		"no group":         {"ann:" + good + ":", "a group is empty"},
		"odd group":        {"ann:" + good + ":a, b", "a group is empty, or has a space"},
		"a fourth part":    {"ann:" + good + ":a:b", "a colon"},
		"many groups":      {"ann:" + good + ":g" + strings.Repeat(",g", maxGroups), "at most 64"},
	} {
		set, err := parseUsers("f", []byte(c.text))
		if set != nil || err == nil || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), good[8:40]) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: the fault quotes the hash: %v", name, err)
		}
	}
}
