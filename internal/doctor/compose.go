package doctor

import (
	"strings"
	"time"
)

// compose finds the services of compose files that run Sluice.
func (w *world) compose() (all []*deployment) {
	for _, stack := range w.stacks {
		stack.get("services").entries(func(name, s tree) {
			if isSluice(append(s.get("entrypoint").texts(), s.get("image").text(), name.text())...) {
				all = append(all, w.service(stack, name, s))
			}
		})
	}
	return all
}

func (w *world) service(stack, name, s tree) *deployment {
	d := &deployment{platform: compose, name: "service " + name.text(), at: name.at(), image: s.get("image").textValue()}
	words := append(s.get("entrypoint").texts(), s.get("command").texts()...)
	if s.get("command").ok && s.get("command").node.Len() == 0 {
		words = strings.Fields(s.get("command").text())
	}
	if len(words) == 0 || !isSluice(words[0]) {
		words = append([]string{"sluice"}, words...)
	}
	d.args, d.argsAt = words, s.get("command").at()
	for _, kv := range s.get("environment").items() {
		d.env = append(d.env, kv.text())
	}
	s.get("environment").entries(func(k, v tree) { d.env = append(d.env, k.text()+"="+v.text()) })
	d.stop = stopOf(s, "stop_grace_period", 10*time.Second)
	d.signal = s.get("stop_signal").textValue()
	d.files = composeFiles(stack, s)
	if h := s.get("healthcheck"); h.ok && !h.get("disable").isTrue() {
		words := h.get("test").texts()
		d.probes = append(d.probes, containerCheck(h.at(), words, h.get("interval").secondsOr(30*time.Second),
			h.get("timeout").secondsOr(30*time.Second), h.get("retries").numberOr(3)))
	}
	for _, p := range s.get("ports").items() {
		n := p.get("target").number()
		if p.node.Len() == 0 {
			inner, _, _ := strings.Cut(p.text()[strings.LastIndexByte(p.text(), ':')+1:], "/")
			v, ok := parseSeconds(inner)
			n = number{p.at(), int64(v / time.Second), ok}
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
