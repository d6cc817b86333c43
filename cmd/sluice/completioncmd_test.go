package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completed is what a shell would be offered, and what it is told to do with it.
func completed(t *testing.T, words ...string) (offers []string, directive string) {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(append([]string{cobra.ShellCompNoDescRequestCmd}, words...))
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[:len(lines)-1], lines[len(lines)-1]
}

func TestCompletion(t *testing.T) {
	noFiles, files, yamlFiles, dirs := ":4", ":0", ":8", ":16"
	for _, tt := range []struct {
		words     string
		offers    []string // some of them
		never     string
		directive string
	}{
		{"", []string{"run", "drain", "doctor", "completion"}, "listen-exec", noFiles},
		{"dr", []string{"drain"}, "run", noFiles},
		{"config ", []string{"show", "schema", "env", "fmt"}, "run", noFiles},
		{"completion ", []string{"bash", "zsh", "fish"}, "", noFiles},
		{"status ", nil, "sluice.yaml", noFiles},
		{"drain --d", []string{"--deadline", "--dry-run"}, "--watch", noFiles},
		{"run --log-format ", []string{"auto", "json", "text"}, "", noFiles},
		{"run --log-access ", []string{"true", "false"}, "", noFiles},
		{"run --drain-timeout ", nil, "sluice.yaml", noFiles},
		{"run --listen ", nil, "", noFiles},
		{"run --config ", []string{"yaml", "yml"}, "", yamlFiles},
		{"run --policy ", nil, "", dirs},
		{"run --policy-state-dir ", nil, "", dirs},
		{"run --receipt ", nil, "", files},
		{"run --admin-token-file ", nil, "", files},
		{"doctor --balancer ", []string{"nlb", "alb"}, "", noFiles},
		{"doctor ", nil, "", files},
		{"policy check ", nil, "", files},
	} {
		offers, directive := completed(t, strings.Split(tt.words, " ")...)
		if directive != tt.directive {
			t.Errorf("%q: directive %s, want %s", tt.words, directive, tt.directive)
		}
		for _, want := range tt.offers {
			if !slices.Contains(offers, want) {
				t.Errorf("%q: no %s among %v", tt.words, want, offers)
			}
		}
		if tt.never != "" && slices.Contains(offers, tt.never) {
			t.Errorf("%q offers %s", tt.words, tt.never)
		}
	}
}

// No flag of any command is forgotten: each has values, files, directories, or nothing.
func TestEveryFlagCompletes(t *testing.T) {
	mayBeFiles := []string{"file", "receipt"}
	everyCommand(func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			_, known := c.GetFlagCompletionFunc(f.Name)
			marked := f.Annotations[cobra.BashCompFilenameExt] != nil || f.Annotations[cobra.BashCompSubdirsInDir] != nil
			isFile := slices.ContainsFunc(mayBeFiles, func(s string) bool { return strings.HasSuffix(f.Name, s) })
			if f.Name != "help" && !known && !marked && !isFile {
				t.Errorf("%s --%s offers files, and takes none", c.CommandPath(), f.Name)
			}
		})
	})
}
