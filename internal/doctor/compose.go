package doctor

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// compose finds the services of compose files that run Sluice.
func (w *world) compose() (all []*deployment) {
	for _, stack := range w.stacks {
		stack.get("services").entries(func(name, s tree) {
			s, elsewhere := extended(stack, s, 8)
			if likely(commandOf(s, "entrypoint"), s.get("image").text(), name.text()) > 0 {
				d := w.service(stack, name, s)
				d.stop.unknown = d.stop.unknown || elsewhere && !d.stop.ok
				all = append(all, d)
			}
		})
	}
	return all
}

// extended is a service with what it takes over from others of the same file, through so many.
// Elsewhere says that more stands in another file.
func extended(stack, s tree, through int) (_ tree, elsewhere bool) {
	from := s.get("extends")
	if !from.ok {
		return s, false
	}
	name := from.text()
	if from.node.Kind() == yaml.Map {
		name = from.get("service").text()
	}
	base := stack.get("services", name)
	if from.get("file").ok || !base.ok || through == 0 {
		return s, true
	}
	base, elsewhere = extended(stack, base, through-1)
	s.base = &base
	return s, elsewhere
}

// commandOf is a command as a list, or as a line in words.
func commandOf(s tree, key string) []string {
	if v := s.get(key); v.ok && v.node.Kind() != yaml.List {
		return split(v.text())
	}
	return s.get(key).texts()
}

var variable = regexp.MustCompile(`\$\{\w+:?-([^{}]*)\}`)

// filled is a text with the defaults of its variables: ${PORT:-8080}.
func filled(text string) string { return variable.ReplaceAllString(text, "$1") }

func (w *world) service(stack, name, s tree) *deployment {
	d := &deployment{platform: compose, name: "service " + name.text(), at: name.at(), image: s.get("image").textValue()}
	entry := commandOf(s, "entrypoint")
	words := commandOf(s, "command")
	if len(entry) == 0 && (len(words) == 0 || !isSluice(words[0])) {
		entry = []string{"sluice"}
	}
	d.args, d.argsAt = unwrap(append(entry, words...)), s.first("command", "entrypoint").at()
	for _, kv := range s.get("environment").items() {
		if strings.Contains(kv.text(), "=") { // otherwise it is the caller's
			d.env = append(d.env, filled(kv.text()))
		}
	}
	s.get("environment").entries(func(k, v tree) {
		if v.node.Kind() != yaml.Null {
			d.env = append(d.env, k.text()+"="+filled(v.text()))
		}
	})
	d.env = slices.DeleteFunc(d.env, func(kv string) bool { return strings.Contains(kv, "$") })
	d.stop = stopOf(s, "stop_grace_period", 10*time.Second)
	d.signal = s.get("stop_signal").textValue()
	if again := s.get("restart"); again.ok && (again.text() == "no" || again.text() == "false") { // left out, it may be somebody's own machine
		d.unrestarted = again.at()
	}
	d.files = composeFiles(stack, s)
	h := s.get("healthcheck")
	words = h.get("test").texts()
	d.uncheck = h.get("disable").isTrue() || slices.Equal(words, []string{"NONE"})
	if !d.uncheck && len(words) > 0 { // without a test it is the image's
		d.probes = append(d.probes, containerCheck(h.at(), words, h.get("interval").secondsOr(30*time.Second),
			h.get("timeout").secondsOr(30*time.Second), h.get("retries").numberOr(3)))
	}
	for _, p := range s.get("ports").items() {
		n := p.get("target").number()
		if p.node.Len() == 0 {
			inner, _, _ := strings.Cut(p.text()[strings.LastIndexByte(p.text(), ':')+1:], "/")
			v, err := strconv.ParseInt(filled(inner), 10, 32)
			n = number{p.at(), v, err == nil}
		}
		if !n.ok || p.get("protocol").text() == "udp" || strings.HasSuffix(p.text(), "/udp") {
			continue // a range, or a variable
		}
		d.ports, d.exposed = append(d.ports, n), append(d.exposed, n)
	}
	if u := s.get("ulimits", "nofile"); u.ok {
		if d.nofile = u.number(); u.get("hard").ok {
			d.nofile = u.get("hard").number()
		}
	}
	if user := s.get("user"); user.ok && (user.text() == "root" || user.text() == "0" || strings.HasPrefix(user.text(), "0:")) {
		d.pod.root = user.at()
	}
	return d
}

// composeFiles are what the service mounts of the host, and the configs of the file.
func composeFiles(stack, s tree) (files []mounted) {
	for _, v := range s.get("volumes").items() {
		if parts := strings.Split(v.text(), ":"); len(parts) >= 2 {
			files = append(files, mounted{path: parts[1], file: parts[0]})
		} else if v.get("type").text() == "bind" {
			files = append(files, mounted{path: v.get("target").text(), file: v.get("source").text()})
		}
	}
	for _, c := range s.get("configs").items() {
		from := stack.get("configs", c.get("source").text()+c.text())
		m := mounted{path: c.get("target").text(), file: from.get("file").text(), at: from.get("content")}
		if m.path == "" {
			m.path = "/" + c.text()
		}
		files = append(files, m)
	}
	return files
}
