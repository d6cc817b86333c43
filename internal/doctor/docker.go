package doctor

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// buildFile is a Dockerfile: the instructions of its last stage.
type buildFile struct {
	src          *source
	base         string // the image that it is built on
	instructions []instruction
}

type instruction struct {
	at   spot
	name string // upper case
	rest string
}

// readBuild reads the last stage, since that is what runs, with what it takes over from the stages
// that it is built on.
func readBuild(src *source) buildFile {
	b := buildFile{src: src}
	stages := map[string][]instruction{}
	stage, joined, from, document := "", "", 0, ""
	for i := range src.lines {
		line := strings.TrimSpace(src.line(i + 1))
		if document != "" { // a here-document goes on
			if line == document {
				document = ""
			}
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if joined == "" {
			from = i + 1
		}
		if rest, more := strings.CutSuffix(line, `\`); more {
			joined += rest + " "
			continue
		}
		line, joined = joined+line, ""
		name, rest := line, ""
		if n := strings.IndexAny(line, " \t"); n > 0 {
			name, rest = line[:n], strings.TrimSpace(line[n:])
		}
		switch name = strings.ToUpper(name); name {
		case "FROM":
			words := slices.DeleteFunc(strings.Fields(rest), func(s string) bool { return strings.HasPrefix(s, "--") })
			stage, b.base = "", first(words)
			b.instructions = slices.Clone(stages[strings.ToLower(b.base)])
			if len(words) == 3 {
				stage = strings.ToLower(words[2])
			}
		case "RUN", "COPY", "ADD":
			if m := hereDocument.FindStringSubmatch(rest); m != nil {
				document = m[1]
			}
		}
		b.instructions = append(b.instructions, instruction{spot{src.name, from, 1}, name, rest})
		stages[stage] = b.instructions
	}
	return b
}

var hereDocument = regexp.MustCompile(`<<-?["']?(\w+)["']?`)

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
		entry, command := b.last("ENTRYPOINT"), b.last("CMD")
		start, exec := words(entry.rest)
		if entry.name == "" { // CMD starts it, or what it is built on does
			entry = command
			if start, exec = words(command.rest); command.name == "" || isSluice(b.base) {
				entry, start, exec = b.last("FROM"), append([]string{"sluice"}, start...), true
			}
		} else if more, ok := words(command.rest); ok && exec {
			start = append(start, more...)
		}
		if !exec {
			start = split(entry.rest)
		}
		inherits := isSluice(b.base) // of this project's image
		if entry.name == "" || entry.name == "FROM" && !inherits || likely(start, "", "") < 3 {
			continue
		}
		d := &deployment{platform: docker, name: "image of " + b.src.name, at: entry.at, argsAt: entry.at, args: unwrap(start)}
		if !exec && first(start) != "exec" { // Docker puts /bin/sh -c in front
			d.shellStart = entry.at
		}
		d.stop = stopLimit{setting: "--stop-timeout", byDef: 10 * time.Second}
		d.signal = textValue{b.last("STOPSIGNAL").at, b.last("STOPSIGNAL").rest}
		if h := b.last("HEALTHCHECK"); h.name == "" && inherits {
			d.probes = append(d.probes, probe{role: container, kind: "exec", command: []string{"/sluice", "health"}})
		} else if h.name != "" && h.rest != "NONE" {
			d.probes = append(d.probes, buildCheck(h))
		}
		if u := b.last("USER"); u.name == "" && !inherits || u.rest == "root" || u.rest == "0" || strings.HasPrefix(u.rest, "0:") {
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
