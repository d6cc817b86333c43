package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update-reference", false, "write docs/cli.md")

// everyCommand visits every command that a person may call.
func everyCommand(visit func(c *cobra.Command)) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		visit(c)
		for _, sub := range taught(c) {
			walk(sub)
		}
	}
	walk(newRoot())
}

// Every command says what it is for, shows calls that are possible, and names its exit codes and
// what to look at next, which exists.
func TestEveryCommandTeaches(t *testing.T) {
	n := 0
	everyCommand(func(c *cobra.Command) {
		n++
		at := c.CommandPath()
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Short) > 90 {
			t.Errorf("%s: Short is %q", at, c.Short)
		}
		if len(c.Long) < 60 {
			t.Errorf("%s does not say when to use it: %q", at, c.Long)
		}
		if !strings.Contains(c.Annotations[noteExits], "0  ") {
			t.Errorf("%s: exit codes are %q", at, c.Annotations[noteExits])
		}
		if len(seeAlso(c)) == 0 {
			t.Errorf("%s names nothing to look at next", at)
		}
		for _, see := range seeAlso(c) {
			if words, isCommand := strings.CutPrefix(see, "sluice "); isCommand {
				if sub, rest, err := c.Root().Find(strings.Fields(words)); err != nil || len(rest) > 0 || sub.Hidden {
					t.Errorf("%s: see also %q: %v", at, see, err)
				}
			} else if _, err := os.Stat(filepath.Join("../..", see)); err != nil {
				t.Errorf("%s: %v", at, err)
			}
		}
		calls := 0
		for _, line := range strings.Split(c.Example, "\n") {
			for _, words := range callsIn(line) {
				calls++
				if err := possible(words); err != nil {
					t.Errorf("%s: the example %q: %v", at, line, err)
				}
			}
		}
		if calls == 0 {
			t.Errorf("%s has no example", at)
		}
	})
	if n < 18 {
		t.Fatalf("%d commands: the test looks at the wrong place", n)
	}
}

// The checks themselves can fail.
func TestExamplesAreRead(t *testing.T) {
	got := callsIn(`  kubectl kustomize . | sluice doctor - && sluice drain --deadline "10 s"   # sluice stop`)
	if want := "[[doctor -] [drain --deadline 10 s]]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	for _, words := range [][]string{{"stop"}, {"drain", "--wacht"}, {"policy", "check"}, {"config", "shwo"}, {"drain", "--deadline", "10"}, {"status", "now"}} {
		if possible(words) == nil {
			t.Errorf("%v is taken for possible", words)
		}
	}
}

// callsIn are the calls of our program in a line for a shell, each without its name.
func callsIn(line string) (calls [][]string) {
	var words []string
	var word strings.Builder
	quote, inWord := rune(0), false
	endWord := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	endCall := func() {
		endWord()
		if len(words) > 0 && filepath.Base(words[0]) == "sluice" {
			calls = append(calls, words[1:])
		}
		words = nil
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == '#' && !inWord:
			endCall()
			return calls
		case r == ' ' || r == '\t':
			endWord()
		case r == '|' || r == '&' || r == ';' || r == '>':
			endCall()
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	endCall()
	return calls
}

// possible reports why a call could not be made: no such command, flag, value or argument.
func possible(words []string) error {
	root := newRoot()
	root.InitDefaultHelpCmd()
	c, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if c.Name() == "help" || c.DisableFlagParsing {
		return nil
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		return err
	}
	return c.ValidateFlagGroups()
}

// docs/cli.md is made from the commands, so that it cannot lag.
func TestReferenceOfCommandsIsCurrent(t *testing.T) {
	const file = "../../docs/cli.md"
	got := []byte(reference())
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date: go test ./cmd/sluice -run Reference -update-reference", file)
	}
}

const preamble = `# Commands

<!-- Made by: go test ./cmd/sluice -run Reference -update-reference -->

` + "`sluice help COMMAND` and `sluice COMMAND --help` print the same. `sluice completion bash|zsh|fish` lets a shell complete all of it" + `.
Colours and drawings are for terminals only; ` + "`NO_COLOR` turns colours off, `TERM=dumb` both" + `. What ` + "`--json`" + ` prints has a [schema](schemas).

`

func reference() string {
	var b strings.Builder
	b.WriteString(preamble)
	everyCommand(func(c *cobra.Command) {
		fmt.Fprintf(&b, "## %s\n\n%s.\n\n", c.CommandPath(), c.Short)
		for _, paragraph := range strings.Split(strings.TrimSpace(c.Long), "\n\n") {
			if strings.Contains("\n"+paragraph, "\n ") {
				paragraph = "```text\n" + paragraph + "\n```"
			}
			b.WriteString(paragraph + "\n\n")
		}
		fmt.Fprintf(&b, "    %s\n\n", usageLine(c))
		fmt.Fprintf(&b, "```sh\n%s\n```\n\n", examples(c))
		own, keys := flagsOf(c)
		if c.HasSubCommands() {
			for _, sub := range taught(c) {
				fmt.Fprintf(&b, "- [%s](#%s): %s\n", sub.Name(), anchor(sub.CommandPath()), sub.Short)
			}
			b.WriteString("\n")
		} else if own.HasFlags() {
			fmt.Fprintf(&b, "```text\n%s```\n\n", own.FlagUsages())
		}
		if keys.HasFlags() {
			b.WriteString("Besides, every key of the [configuration](config.md) that is no list is a flag: `--drain-timeout 20s` is `drain.timeout`.\n\n")
		}
		b.WriteString("| exit | means |\n|---|---|\n")
		for _, line := range strings.Split(c.Annotations[noteExits], "\n") {
			code, means, _ := strings.Cut(line, "  ")
			fmt.Fprintf(&b, "| %s | %s |\n", code, means)
		}
		var see []string
		for _, s := range seeAlso(c) {
			if page, isPage := strings.CutPrefix(s, "docs/"); isPage {
				see = append(see, fmt.Sprintf("[%s](%s)", page, page))
			} else {
				see = append(see, fmt.Sprintf("[%s](#%s)", s, anchor(s)))
			}
		}
		fmt.Fprintf(&b, "\nSee also: %s.\n\n", strings.Join(see, ", "))
	})
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func anchor(heading string) string { return strings.ReplaceAll(strings.ToLower(heading), " ", "-") }

// What is printed for --help and by `help` is that lesson, on standard output.
func TestHelpPrintsTheLesson(t *testing.T) {
	for _, args := range [][]string{{"help", "drain"}, {"drain", "--help"}} {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(args)
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Usage:\n  sluice drain", "Examples:\n  sluice drain", "--dry-run", "Exit codes:\n  0  ", "See also:\n  sluice status\n"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v: no %q in\n%s", args, want, out.String())
			}
		}
	}
}
