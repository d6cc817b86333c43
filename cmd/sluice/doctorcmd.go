package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/doctor"
)

// Bounds of what the doctor reads.
const (
	maxDoctorFiles = 1000
	maxDoctorFile  = 4 << 20 // bytes
)

// newDoctor looks at what a deployment is made of.
func newDoctor() *cobra.Command {
	var opt doctor.Options
	var asJSON, patch, strict, rules bool
	c := &cobra.Command{
		Use:   "doctor FILE|DIR...",
		Short: "Find what would lose requests in manifests, units and configurations",
		Long: `Read Kubernetes objects, ECS task definitions, services and target groups, compose files,
systemd units, Dockerfiles, Prometheus configurations and configurations of Sluice, together,
as they are applied, and find what would lose requests, kill a drain half-way or make a probe
lie. Every rule has its section in docs/doctor.md ("sluice explain RULE"). Nothing is run and nobody is
asked. Run it before a rollout, and in CI.`,
		Example: `  sluice doctor deploy/kubernetes
  sluice doctor task-definition.json service.json sluice.yaml
  sluice doctor /etc/systemd/system/sluice.service /etc/sluice/sluice.yaml --balancer nlb
  kubectl kustomize . | sluice doctor -
  sluice doctor --patch deploy/ | patch -p0
  sluice doctor --patch /etc/systemd/system/sluice.service | patch -d / -p1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			if rules {
				return printRules(out, asJSON)
			}
			if len(args) == 0 {
				return errors.New("doctor needs files or directories; - is the standard input")
			}
			if opt.Balancer != "" && !slices.Contains(doctor.Balancers, opt.Balancer) {
				return fmt.Errorf("--balancer is one of %s", strings.Join(doctor.Balancers, ", "))
			}
			files, err := doctorFiles(args, cmd.InOrStdin())
			if err != nil {
				return fail(exitUsage, err)
			}
			if patch {
				patchNames(files, cmd.ErrOrStderr())
			}
			r := doctor.Examine(files, opt)
			switch {
			case asJSON:
				err = printJSON(out, r)
			case patch:
				_, err = io.WriteString(out, r.Patch())
			default:
				err = printReport(out, r)
			}
			if worst := r.Worst(); err == nil && (worst == doctor.Failure || strict && worst == doctor.Warning) {
				return fail(exitFailed, nil)
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&opt.Balancer, "balancer", "", "in front, where no file says it: "+strings.Join(doctor.Balancers, ", "))
	f.BoolVar(&patch, "patch", false, "print what lines can put right as a unified diff, for patch -p0")
	f.BoolVar(&strict, "strict", false, "exit with 1 for warnings too")
	f.BoolVar(&rules, "rules", false, "print what is looked for")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	err := c.RegisterFlagCompletionFunc("balancer", cobra.FixedCompletions(doctor.Balancers, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic("BUG: completion of --balancer: " + err.Error())
	}
	return teach(c, exits{exitOK: "no error was found", exitFailed: "an error was found (with --strict: or a warning)", exitUsage: "usage, or a file is missing"},
		"validate", "config show", "docs/doctor.md", "docs/platforms.md")
}

// doctorFiles reads what is named: files as they are, and of directories what could be one of
// the kinds that are known.
func doctorFiles(args []string, stdin io.Reader) (files []doctor.File, err error) {
	add := func(name string) error {
		if len(files) >= maxDoctorFiles {
			return fmt.Errorf("more than %d files", maxDoctorFiles)
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if info.Size() > maxDoctorFile {
			return fmt.Errorf("%s: %d bytes are more than %d", name, info.Size(), maxDoctorFile)
		}
		text, err := os.ReadFile(name)
		files = append(files, doctor.File{Name: name, Text: text})
		return err
	}
	for _, arg := range args {
		if arg == "-" {
			text, err := io.ReadAll(io.LimitReader(stdin, maxDoctorFile+1))
			if err == nil && len(text) > maxDoctorFile {
				err = fmt.Errorf("the standard input is more than %d bytes", maxDoctorFile)
			}
			if err != nil {
				return nil, err
			}
			files = append(files, doctor.File{Name: standardInput, Text: text})
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			if err := add(arg); err != nil {
				return nil, err
			}
			continue
		}
		err = filepath.WalkDir(arg, func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if base := e.Name(); e.IsDir() && strings.HasPrefix(base, ".") && name != arg {
				return fs.SkipDir
			}
			if e.Type().IsRegular() && doctor.Candidate(name) {
				return add(name)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

const standardInput = "standard input"

// patchNames names files as patch -p0 takes them: beneath the working directory. It says what to
// do where that cannot be.
func patchNames(files []doctor.File, hints io.Writer) {
	here, err := os.Getwd()
	if err != nil {
		return
	}
	outside := ""
	for i, f := range files {
		if f.Name == standardInput {
			fmt.Fprintln(hints, "the patch is of the standard input: give patch the file's name (patch FILE)")
			continue
		}
		whole := f.Name
		if !filepath.IsAbs(whole) {
			whole = filepath.Join(here, whole)
		}
		if beneath, err := filepath.Rel(here, whole); err == nil && filepath.IsLocal(beneath) {
			files[i].Name = beneath
			continue
		}
		outside = filepath.Clean(whole)
		files[i].Name = outside
	}
	if outside != "" {
		fmt.Fprintf(hints, "%s is not beneath the working directory: patch -d / -p1\n", outside)
	}
}

// ruleLine is a rule as `sluice doctor --rules --json` has it.
type ruleLine struct {
	Rule     string          `json:"rule"`
	Severity doctor.Severity `json:"severity"`
	Title    string          `json:"title"` // what is wrong where it finds something
}

func printRules(out io.Writer, asJSON bool) error {
	if asJSON {
		lines := []ruleLine{}
		for _, r := range doctor.Rules() {
			lines = append(lines, ruleLine{r.ID, r.Severity, r.Title})
		}
		return printJSON(out, lines)
	}
	for _, r := range doctor.Rules() {
		if _, err := fmt.Fprintf(out, "%-22s %-8s %s\n", r.ID, r.Severity, r.Title); err != nil {
			return err
		}
	}
	return nil
}

// printReport is for people: what was found, gravest first, and the stop of each deployment.
func printReport(out io.Writer, r *doctor.Report) error {
	var b strings.Builder
	count := map[doctor.Severity]int{}
	subjects := map[string]bool{}
	for _, f := range r.Findings {
		subjects[f.Subject] = true
	}
	delete(subjects, "")
	for _, f := range r.Findings {
		count[f.Severity]++
		line := fmt.Sprintf("%s %s [%s] %s", f.Place(), f.Severity, f.Rule, f.Message)
		if len(subjects) > 1 && f.Subject != "" {
			line += " (" + f.Subject + ")"
		}
		fmt.Fprintln(&b, strings.TrimSpace(line))
		fmt.Fprintf(&b, "    %s\n", f.Remedy)
	}
	for _, s := range r.Stops {
		fmt.Fprintf(&b, "\n%s: ", s.Subject)
		if s.Limit > 0 {
			fmt.Fprintf(&b, "%s %s, ", s.Setting, s.Limit)
		}
		fmt.Fprintf(&b, "platform.stop_timeout %s\n", s.Planned)
		drawStop(&b, s)
	}
	fmt.Fprintf(&b, "\n%d files and objects read; %d errors, %d warnings, %d notes\n", len(r.Read), count[doctor.Failure], count[doctor.Warning], count[doctor.Note])
	if len(r.Findings) > 0 {
		fmt.Fprintln(&b, "docs/doctor.md says what comes of each; --patch prints what lines can put right")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// drawStop draws the phases to the scale of whichever is longer: what the platform gives, or
// what the process plans with.
func drawStop(b *strings.Builder, s doctor.Stop) {
	total := max(s.Planned, min(s.Limit, time.Hour))
	for _, span := range s.Spans {
		if !span.Within {
			fmt.Fprintf(b, "  %6s |%s| %s\n", span.From, bar(span, total, '='), span.Name)
		}
	}
	if s.Limit > 0 && s.Limit <= total {
		fmt.Fprintf(b, "  %6s |%s| SIGKILL\n", s.Limit, bar(config.Span{From: s.Limit, To: s.Limit}, total, '^'))
	}
}
