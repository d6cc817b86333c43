package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Where a command keeps what it teaches beside its texts and flags.
const (
	noteExits = "exits" // a line for each exit code
	noteSee   = "see"   // a line for each thing to look at next
	noteKey   = "key"   // of a flag: the key of the configuration that it sets
)

// exits are the exit codes of a command and what each means.
type exits map[int]string

// teach completes the help of a command: its exit codes, and what to look at next, which are
// commands without the name of the program, or pages.
func teach(c *cobra.Command, e exits, see ...string) *cobra.Command {
	var lines []string
	for _, code := range slices.Sorted(maps.Keys(e)) {
		lines = append(lines, fmt.Sprintf("%d  %s", code, e[code]))
	}
	c.Annotations = map[string]string{noteExits: strings.Join(lines, "\n"), noteSee: strings.Join(see, "\n")}
	return c
}

// writeHelp prints everything there is to know about a command.
func writeHelp(out io.Writer, c *cobra.Command) error {
	var b strings.Builder
	section := func(title, text string) {
		if text = strings.TrimRight(text, "\n "); text != "" {
			fmt.Fprintf(&b, "\n%s:\n%s\n", title, text)
		}
	}
	fmt.Fprintf(&b, "%s.\n", c.Short)
	if c.Long != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(c.Long))
	}
	section("Usage", indented(usageLine(c)))
	section("Examples", indented(examples(c)))
	section("Commands", commandList(c))
	own, keys := flagsOf(c)
	section("Flags", own.FlagUsages())
	if keys.HasFlags() {
		section("Keys of the configuration", indented(keysAreFlags))
	}
	section("Exit codes", indented(c.Annotations[noteExits]))
	section("See also", indented(strings.Join(seeAlso(c), "\n")))
	_, err := io.WriteString(out, b.String())
	return err
}

const keysAreFlags = `Every key of the file that is no list is a flag, too: --drain-timeout 20s is drain.timeout, and so is
SLUICE_DRAIN_TIMEOUT. "sluice config env" lists them; "sluice explain drain.timeout" tells of one.`

// usageLine is how the command is called.
func usageLine(c *cobra.Command) string {
	if c.HasSubCommands() {
		return c.CommandPath() + " COMMAND"
	}
	return c.UseLine()
}

// examples are those of the command, without the space before them.
func examples(c *cobra.Command) string {
	lines := strings.Split(c.Example, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

// taught are the commands below c that a person may call, in their order.
func taught(c *cobra.Command) (list []*cobra.Command) {
	for _, sub := range c.Commands() {
		if !sub.Hidden && sub.Name() != "help" {
			list = append(list, sub)
		}
	}
	return list
}

func commandList(c *cobra.Command) string {
	var b strings.Builder
	for _, sub := range taught(c) {
		fmt.Fprintf(&b, "  %-12s %s\n", sub.Name(), sub.Short)
	}
	return b.String()
}

// flagsOf splits the flags of a command: its own, and those that set a key of the configuration.
func flagsOf(c *cobra.Command) (own, keys *pflag.FlagSet) {
	own, keys = pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	c.InitDefaultHelpFlag()
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Annotations[noteKey] != nil:
			keys.AddFlag(f)
		case f.Name == "help" && c.HasSubCommands():
		default:
			own.AddFlag(f)
		}
	})
	return own, keys
}

// seeAlso names commands as one calls them.
func seeAlso(c *cobra.Command) (list []string) {
	for _, line := range strings.Split(c.Annotations[noteSee], "\n") {
		switch {
		case line == "":
		case strings.Contains(line, "/"): // a page
			list = append(list, line)
		default:
			list = append(list, "sluice "+line)
		}
	}
	return list
}

func indented(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}
