package doctor

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// Rules that are judged while files are read.
const (
	unreadable  = "unreadable"
	unknownFile = "unknown-file"
	invalid     = "config-invalid"
)

// mounted is a file that the platform puts in a container, or names on a host.
type mounted struct {
	path string // in the container
	at   tree   // its text; not there: a file of that name among those given
	file string // among those given, by its last element
}

// process is how a platform starts one, before its configuration is known.
type process struct {
	env   []string
	files []mounted
}

// configure finds the configuration that a deployment runs with, and loads it as the process
// would. Its faults are findings.
func (w *world) configure(d *deployment) {
	src := config.Source{Env: d.env, Flags: map[string]string{}}
	name := flags(d.args, &src)
	if name == "" {
		name = valueOf(d.env, "SLUICE_CONFIG")
	}
	shift := 0
	src.Name, src.Text, d.cfgAt, shift = w.configText(d, name)
	src.Env = slices.DeleteFunc(slices.Clone(d.env), func(kv string) bool {
		return !strings.HasPrefix(kv, "SLUICE_") || strings.HasPrefix(kv, "SLUICE_CONFIG=")
	})
	if src.Name == "" && src.Listen == "" {
		d.guessed, src.Listen, src.PolicyElsewhere = true, ":8080", true // what is not here is judged by its defaults
	}
	cfg, err := config.Load(src)
	d.cfg = cfg
	var faults *yaml.Faults
	if !errors.As(err, &faults) {
		return
	}
	for _, f := range faults.List() {
		at := spot{f.File, f.Line, f.Col}
		if shift == oneLine {
			at = d.cfgAt
		} else if at.line > 0 && d.cfgAt.file != "" {
			at = spot{d.cfgAt.file, at.line + shift, 0}
		} else {
			at = d.at
		}
		w.report.Findings = append(w.report.Findings, Finding{Rule: invalid, Severity: Failure, File: at.file, Line: at.line, Subject: d.name,
			Message: told(f), Remedy: "the process would not start with this (`sluice validate` shows the same, with excerpts); until it is put right, nothing that depends on the configuration is judged"})
	}
}

// configText is the text of the file of that name: mounted, given, or the only one there is.
// A line of it is shift lines further down in the file where it stands.
func (w *world) configText(d *deployment, name string) (file string, text []byte, at spot, shift int) {
	for _, m := range d.files {
		if m.path != name && !(name == "" && strings.HasSuffix(m.path, "sluice.yaml")) {
			continue
		}
		if at := m.at.at(); m.at.ok {
			if first, _, _ := strings.Cut(m.at.text(), "\n"); strings.TrimSpace(m.at.src.line(at.line+1)) != strings.TrimSpace(first) {
				return m.at.src.name, []byte(m.at.text()), at, oneLine
			}
			return m.at.src.name, []byte(m.at.text()), at, at.line
		}
		name = m.file
	}
	var best configFile
	likeness := -1
	for _, c := range w.configs {
		if l := d.likeness(c.name, name); l > likeness {
			best, likeness = c, l
		}
	}
	if likeness < 0 || likeness == 0 && len(w.configs) > 1 {
		return "", nil, spot{}, 0
	}
	return best.name, best.text, spot{best.name, 1, 1}, 0
}

// oneLine is in the place of a shift where a text does not stand line by line, as in JSON.
const oneLine = -1

// likeness is how much a file that was given looks like the one that the process is told to
// read: its name counts, and that it lies beside the deployment.
func (d *deployment) likeness(file, wanted string) (n int) {
	if path.Base(file) == path.Base(wanted) {
		n++
	}
	if path.Dir(file) == path.Dir(d.at.file) {
		n += 2
	}
	return n
}

// flags reads the command line of `sluice run` as far as it says what is configured, and
// returns the name of the file.
func flags(args []string, src *config.Source) (file string) {
	byFlag := map[string]string{}
	for _, p := range config.Scalars() {
		byFlag[config.FlagName(p)] = p
	}
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		if !strings.HasPrefix(name, "-") {
			continue
		}
		if !joined && i+1 < len(args) && name != "--public" {
			i++
			value = args[i]
		}
		switch p, known := byFlag[name]; {
		case known:
			src.Flags[p] = value
		case name == "-c" || name == "--config":
			file = value
		case name == "--listen":
			src.Listen = value
		case name == "--policy":
			src.Flags["policy.dir"] = value
		case name == "--to":
			src.PolicyElsewhere = true
		}
	}
	return file
}

func valueOf(env []string, name string) string {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// firstFault is the first of the faults of an error, on one line.
func firstFault(err error) string {
	var faults *yaml.Faults
	if errors.As(err, &faults) && faults.Count() > 0 {
		return told(faults.List()[0])
	}
	return err.Error()
}

// told is a fault without its place.
func told(f yaml.Fault) string {
	if f.Suggestion == "" {
		return f.Message
	}
	return fmt.Sprintf("%s; did you mean %q?", f.Message, f.Suggestion)
}

// firstLine is where that is; 0: nowhere.
func firstLine(err error) int {
	var faults *yaml.Faults
	if errors.As(err, &faults) && faults.Count() > 0 {
		return faults.List()[0].Line
	}
	return 0
}

// isSluice says whether words that start a process or name an image are about Sluice.
func isSluice(words ...string) bool {
	return slices.ContainsFunc(words, func(s string) bool {
		base := path.Base(s)
		base, _, _ = strings.Cut(base, "@")
		base, _, _ = strings.Cut(base, ":")
		return base == "sluice" || strings.HasPrefix(base, "sluice-") && !strings.HasPrefix(base, "sluice-lab")
	})
}
