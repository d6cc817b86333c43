package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// Source is everything that a configuration is made of.
type Source struct {
	Name  string            // of the file, for messages; empty: there is no file
	Text  []byte            // the file
	Env   []string          // as os.Environ gives it; only SLUICE_ variables are looked at
	Flags map[string]string // by path, as written: {"drain.timeout": "30s"}

	// Listen adds an HTTP listener named "main": the quick start without a file.
	Listen string
	// PolicyElsewhere says that the policy does not come from policy.dir.
	PolicyElsewhere bool
}

// Load reads, completes and checks a configuration. The error is a *yaml.Faults with
// every fault there is; the Config is nil then.
func Load(src Source) (*Config, error) {
	l := loader{src: src, cfg: Default()}
	l.cfg.origins = map[string]Origin{}
	l.file()
	l.environment()
	l.flags()
	if l.faults.Count() > 0 && l.unread {
		return nil, l.faults.ErrorOrNil() // nothing behind it would be true
	}
	l.complete()
	l.validate()
	if err := l.faults.ErrorOrNil(); err != nil {
		return nil, err
	}
	return &l.cfg, nil
}

// loader is one run of Load.
type loader struct {
	src    Source
	cfg    Config
	doc    *yaml.Document // nil: no file
	unread bool           // the file is not readable as YAML
	broken []string       // paths whose value was refused: not judged again
	faults yaml.Faults
}

func (l *loader) file() {
	if l.src.Name == "" {
		return
	}
	doc, err := yaml.Parse(l.src.Name, l.src.Text, yaml.Limits{})
	if err != nil {
		l.faults.AddError(l.src.Name, err)
		l.unread = true
		return
	}
	l.doc = doc
	l.cfg.Version = 0 // the file has to say it
	l.note(doc.Decode(&l.cfg))
	walk(reflect.ValueOf(&l.cfg).Elem(), "", func(path string, _ reflect.Value) {
		if pos, ok := doc.At(path); ok {
			l.cfg.origins[path] = Origin{Kind: FromFile, Name: l.src.Name, Line: pos.Line}
		}
	})
}

// note keeps the faults of decoding and remembers where they were.
func (l *loader) note(err error) {
	var faults *yaml.Faults
	if errors.As(err, &faults) {
		for _, f := range faults.List() {
			l.broken = append(l.broken, f.Path)
		}
	}
	l.faults.AddError(l.src.Name, err)
}

func (l *loader) environment() {
	paths := map[string]string{}
	var names []string
	for _, path := range Scalars() {
		paths[EnvName(path)] = path
		names = append(names, EnvName(path))
	}
	for _, entry := range l.src.Env {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || foreign(name) {
			continue
		}
		path, ok := paths[name]
		if !ok {
			l.faults.Add(yaml.Fault{File: "environment", Code: yaml.UnknownVariable, Message: fmt.Sprintf("unknown variable %q", name),
				Suggestion: yaml.Nearest(name, names)})
			continue
		}
		l.set(path, value, Origin{Kind: FromEnv, Name: name})
	}
}

// foreign are variables with our prefix that are not settings: what names the file
// itself, and what Kubernetes sets in every container for a service named "sluice" or
// "sluice-something".
func foreign(name string) bool {
	return name == "SLUICE_CONFIG" || strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_PORT_") ||
		strings.Contains(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT")
}

func (l *loader) flags() {
	paths := make([]string, 0, len(l.src.Flags))
	for path := range l.src.Flags {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		if !slices.Contains(Scalars(), path) {
			panic("BUG: config: flag for the unknown setting " + path)
		}
		l.set(path, l.src.Flags[path], Origin{Kind: FromFlag, Name: FlagName(path)})
	}
	if l.src.Listen != "" {
		l.cfg.Listeners = append(l.cfg.Listeners, Listener{Name: "main", Address: l.src.Listen, Protocol: "http"})
		at := fmt.Sprintf("listeners[%d].", len(l.cfg.Listeners)-1)
		for _, key := range []string{"name", "address", "protocol"} {
			l.cfg.origins[at+key] = Origin{Kind: FromFlag, Name: "--listen"}
		}
	}
}

// set decodes one value by the very rules of the file, so that "30" is no duration here
// either.
func (l *loader) set(path, value string, from Origin) {
	target := reflect.ValueOf(&l.cfg).Elem()
	isText := false
	walk(target, "", func(p string, v reflect.Value) {
		isText = isText || p == path && (v.Kind() == reflect.String || v.Type() == durationType || v.Type() == sizeType)
	})
	written := value
	if isText {
		written = strconv.Quote(value)
	} else if strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_") != "" || value == "" {
		l.refuse(yaml.BadValue, path, from, fmt.Sprintf("%q cannot be read", value))
		return
	}
	keys := strings.Split(path, ".")
	doc, err := yaml.Parse(from.Name, []byte(strings.Join(keys, ": {")+": "+written+strings.Repeat("}", len(keys)-1)+"\n"), yaml.Limits{})
	if err == nil {
		err = doc.Decode(&l.cfg)
	}
	var faults *yaml.Faults
	if errors.As(err, &faults) {
		for _, f := range faults.List() {
			l.refuse(f.Code, path, from, strings.TrimPrefix(f.Message, path+": "))
		}
		return
	}
	l.cfg.origins[path] = from
	l.broken = slices.DeleteFunc(l.broken, func(p string) bool { return p == path })
}

func (l *loader) refuse(code yaml.Code, path string, from Origin, message string) {
	l.broken = append(l.broken, path)
	l.faults.Add(yaml.Fault{File: from.Name, Path: path, Code: code, Message: path + ": " + message})
}

// complete derives the defaults that depend on other values.
func (l *loader) complete() {
	for i := range l.cfg.Listeners {
		if ln := &l.cfg.Listeners[i]; ln.Protocol == "" {
			ln.Protocol = "http"
		}
	}
	l.completeSessions()
	if l.cfg.origins["lame_duck.notice_after"].Kind == FromDefault {
		l.cfg.LameDuck.NoticeAfter = l.cfg.LameDuck.Min / 2
	}
	if l.cfg.origins["drain.idle_close"].Kind == FromDefault {
		l.cfg.Drain.IdleClose = min(l.cfg.Drain.IdleClose, l.cfg.Drain.Timeout/2)
	}
	if l.cfg.origins["drain.close_lead"].Kind == FromDefault {
		l.cfg.Drain.CloseLead = min(l.cfg.Drain.CloseLead, l.cfg.Drain.Timeout/4)
	}
	if l.cfg.origins["lame_duck.max"].Kind == FromDefault {
		l.cfg.LameDuck.Max = max(l.cfg.LameDuck.Max, l.cfg.LameDuck.Min)
	}
}
