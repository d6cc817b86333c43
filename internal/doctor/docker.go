package doctor

import (
	"encoding/json"
	"strings"
	"time"
)

// buildFile is a Dockerfile: the instructions of its last stage.
type buildFile struct {
	src          *source
	instructions []instruction
}

type instruction struct {
	at   spot
	name string // upper case
	rest string
}

// readBuild reads the last stage, since that is what runs.
func readBuild(src *source) buildFile {
	b := buildFile{src: src}
	joined, from := "", 0
	for i, line := range src.lines {
		line = strings.TrimSpace(line)
		if joined == "" {
			from = i + 1
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if rest, more := strings.CutSuffix(line, `\`); more {
			joined += rest + " "
			continue
		}
		line, joined = joined+line, ""
		name, rest, _ := strings.Cut(line, " ")
		if name = strings.ToUpper(name); name == "FROM" {
			b.instructions = nil
		}
		b.instructions = append(b.instructions, instruction{spot{src.name, from, 1}, name, strings.TrimSpace(rest)})
	}
	return b
}

// last is the last instruction of a name, which is the one that counts.
func (b buildFile) last(name string) (found instruction) {
	for _, in := range b.instructions {
		if in.name == name {
			found = in
		}
	}
	return found
}

// words are an instruction's exec form; ok is false for the shell form.
func words(rest string) (list []string, ok bool) {
	err := json.Unmarshal([]byte(rest), &list)
	return list, err == nil
}

// docker finds the Dockerfiles whose image starts Sluice.
func (w *world) docker() (all []*deployment) {
	for _, b := range w.builds {
		entry := b.last("ENTRYPOINT")
		start, exec := words(entry.rest)
		if !exec {
			start = strings.Fields(entry.rest)
		}
		if len(start) == 0 || !isSluice(start...) {
			continue
		}
		d := &deployment{platform: docker, name: "image of " + b.src.name, at: entry.at, argsAt: entry.at}
		if exec {
			d.args = start
			if command, ok := words(b.last("CMD").rest); ok {
				d.args = append(d.args, command...)
			}
		} else {
			d.shellStart = entry.at
		}
		d.stop = stopLimit{setting: "--stop-timeout", byDef: 10 * time.Second}
		d.signal = textValue{b.last("STOPSIGNAL").at, b.last("STOPSIGNAL").rest}
		if h := b.last("HEALTHCHECK"); h.name != "" && h.rest != "NONE" {
			d.probes = append(d.probes, buildCheck(h))
		}
		if u := b.last("USER"); u.name == "" || u.rest == "root" || u.rest == "0" || strings.HasPrefix(u.rest, "0:") {
			if d.pod.root = u.at; u.name == "" {
				d.pod.root = entry.at
			}
		}
		all = append(all, d)
	}
	return all
}

// buildCheck reads HEALTHCHECK [--interval=…] CMD ….
func buildCheck(h instruction) probe {
	period, timeout, failures := seconds{d: 30 * time.Second}, seconds{d: 30 * time.Second}, number{n: 3}
	rest := h.rest
	for strings.HasPrefix(rest, "--") {
		option, after, _ := strings.Cut(rest, " ")
		name, value, _ := strings.Cut(option, "=")
		d, ok := parseSeconds(value)
		switch name {
		case "--interval":
			period = seconds{h.at, d, ok}
		case "--timeout":
			timeout = seconds{h.at, d, ok}
		case "--retries":
			failures = number{h.at, int64(d / time.Second), ok}
		}
		rest = strings.TrimSpace(after)
	}
	rest = strings.TrimSpace(strings.TrimPrefix(rest, "CMD"))
	if command, exec := words(rest); exec {
		return containerCheck(h.at, append([]string{"CMD"}, command...), period, timeout, failures)
	}
	return containerCheck(h.at, []string{"CMD-SHELL", rest}, period, timeout, failures)
}
