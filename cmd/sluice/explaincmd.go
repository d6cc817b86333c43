package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/docs"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// explained is what a word means in one place.
type explained struct {
	Word string `json:"word"`
	Page string `json:"page"` // where its section stands
	Text string `json:"text"` // Markdown
}

func newExplain() *cobra.Command {
	var asJSON, list bool
	c := &cobra.Command{
		Use:   "explain WORD",
		Short: "Say what the word of an error, an exit code, a rule, an alert or a key means",
		Long: `Say what a word means, why it comes, and what to do: a reason of an answer (X-Sluice-Reason) or of the
access log, a cause in a receipt, what stands in brackets behind "error" or a finding of the doctor, an exit
code, an alert (its runbook), a key of the configuration. Nothing is asked over the network.`,
		Example: `  sluice explain connect_failed    # a reason
  sluice explain exit 3            # an exit code
  sluice explain unknown-key       # a fault in a file
  sluice explain stop-limit        # a rule of the doctor
  sluice explain SluiceDrainCut    # an alert
  sluice explain drain.timeout     # a key
  sluice explain --list            # all there are`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case list && len(args) == 0, !list && (len(args) == 1 || len(args) == 2 && args[0] == "exit"):
				return nil
			}
			return fmt.Errorf("explain wants one word, or --list")
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, begun string) (words []string, _ cobra.ShellCompDirective) {
			for _, word := range explainable() {
				if len(args) == 0 && strings.HasPrefix(word, begun) {
					words = append(words, word)
				}
			}
			return words, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return printWords(cmd, asJSON)
			}
			word := strings.Join(args, "-")
			found := explain(word)
			if len(found) == 0 {
				return fail(exitFailed, unknownWord(word))
			}
			return printExplained(cmd, found, asJSON)
		},
	}
	c.Flags().BoolVar(&list, "list", false, "print every word that can be explained")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return teach(c, exits{exitOK: "printed", exitFailed: "nobody knows that word; the nearest is named", exitUsage: "usage"}, "doctor", "config env", "docs/errors.md", "docs/doctor.md", "docs/config.md")
}

func unknownWord(word string) error {
	if near := yaml.Nearest(word, explainable()); near != "" {
		return fmt.Errorf("sluice: nothing is called %q; did you mean %q?", word, near)
	}
	return fmt.Errorf("sluice: nothing is called %q; --list has every word", word)
}

func printWords(cmd *cobra.Command, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), explainable())
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(explainable(), "\n"))
	return err
}

func printExplained(cmd *cobra.Command, found []explained, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return printJSON(out, found)
	}
	for i, e := range found {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if _, err := fmt.Fprintf(out, "%s (%s)\n\n%s\n", e.Word, e.Page, unmarked(e.Text)); err != nil {
			return err
		}
	}
	return nil
}

// headings of the pages that have a section for each word.
var heading = regexp.MustCompile(`(?m)^##+ (.+)$`)

// pages that explain words, and what marks a section there.
func pages() []struct{ name, text, mark string } {
	return []struct{ name, text, mark string }{{"docs/errors.md", docs.Errors, "### "}, {"docs/doctor.md", docs.Doctor, "## "}}
}

// explainable lists every word that there is something to say about.
func explainable() (words []string) {
	for _, p := range pages() {
		for _, line := range heading.FindAllString(p.text, -1) {
			if word, ok := strings.CutPrefix(line, p.mark); ok && !strings.Contains(word, " ") {
				words = append(words, word)
			}
		}
	}
	words = append(words, keys()...)
	words = append(words, alerts()...)
	slices.Sort(words)
	return slices.Compact(words)
}

// explain finds every section about a word. Exit codes may be given as numbers.
func explain(word string) (found []explained) {
	if strings.Trim(word, "0123456789") == "" {
		word = "exit-" + word
	}
	for _, p := range pages() {
		_, after, ok := strings.Cut(p.text, "\n"+p.mark+word+"\n")
		if !ok {
			continue
		}
		if end := heading.FindStringIndex(after); end != nil {
			after = after[:end[0]]
		}
		found = append(found, explained{word, p.name, strings.TrimSpace(after)})
	}
	if text, err := docs.Runbooks.ReadFile("runbooks/" + word + ".md"); err == nil {
		_, after, _ := strings.Cut(string(text), "\n") // behind its title, which is the word
		found = append(found, explained{word, "docs/runbooks/" + word + ".md", strings.TrimSpace(after)})
	}
	if text := explainKey(word); text != "" {
		found = append(found, explained{word, "docs/config.md", text})
	}
	return found
}

// alerts are those that have a runbook.
func alerts() (names []string) {
	pages, err := docs.Runbooks.ReadDir("runbooks")
	if err != nil {
		panic("BUG: no runbooks: " + err.Error())
	}
	for _, p := range pages {
		names = append(names, strings.TrimSuffix(p.Name(), ".md"))
	}
	return names
}

// property is what the schema says of a key.
type property struct {
	Description string               `json:"description"`
	Default     any                  `json:"default"`
	Enum        []string             `json:"enum"`
	Properties  map[string]*property `json:"properties"`
	Items       *property            `json:"items"`
}

func schemaRoot() *property {
	var root property
	if err := json.Unmarshal(docs.ConfigSchema, &root); err != nil {
		panic("BUG: the schema of the configuration is not JSON: " + err.Error())
	}
	return &root
}

// keys are the paths of all keys, "listeners[].address" for those of lists.
func keys() (paths []string) {
	var walk func(p *property, path string)
	walk = func(p *property, path string) {
		if p.Items != nil {
			p, path = p.Items, path+"[]"
		}
		for name, sub := range p.Properties {
			at := strings.TrimPrefix(path+"."+name, ".")
			paths = append(paths, at)
			walk(sub, at)
		}
	}
	walk(schemaRoot(), "")
	return paths
}

// explainKey tells of a key, and how else it is set; "" if it is none.
func explainKey(path string) string {
	p := schemaRoot()
	for _, name := range strings.Split(strings.ReplaceAll(path, "[]", ""), ".") {
		if p.Items != nil {
			p = p.Items
		}
		if p = p.Properties[name]; p == nil {
			return ""
		}
	}
	text := p.Description
	if text == "" && p.Items != nil {
		text = "A list. " + p.Items.Description
	}
	lines := []string{text}
	if p.Enum != nil {
		lines = append(lines, "- One of: "+strings.Join(p.Enum, ", "))
	}
	if p.Default != nil {
		lines = append(lines, fmt.Sprintf("- Default: `%v`", p.Default))
	}
	if slices.Contains(config.Scalars(), path) {
		lines = append(lines, fmt.Sprintf("- Also: `%s`, `%s`", config.FlagName(path), config.EnvName(path)))
	}
	return strings.Join(lines, "\n")
}

var link = regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)

// unmarked takes the marks of Markdown out that disturb on a terminal.
func unmarked(text string) string { return link.ReplaceAllString(text, "$1") }
