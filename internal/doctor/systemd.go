package doctor

import (
	"strconv"
	"strings"
	"time"
)

// unitFile is a unit: the last value of each setting, by "Section.Name".
type unitFile struct {
	src    *source
	socket bool
	values map[string]textValue
	lists  map[string][]textValue
}

// readUnit reads a unit file: sections, Name=value, comments, lines that go on after "\".
func readUnit(src *source) unitFile {
	u := unitFile{src: src, socket: strings.HasSuffix(src.name, ".socket"), values: map[string]textValue{}, lists: map[string][]textValue{}}
	section, joined, from := "", "", 0
	for i, line := range src.lines {
		line = strings.TrimSpace(line)
		if joined == "" {
			from = i + 1
		}
		if joined == "" && (line == "" || line[0] == '#' || line[0] == ';') {
			continue
		}
		if rest, more := strings.CutSuffix(line, `\`); more {
			joined += rest + " "
			continue
		}
		line, joined = joined+line, ""
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		key := section + "." + strings.TrimSpace(name)
		v := textValue{spot{src.name, from, 1}, strings.TrimSpace(value)}
		u.values[key] = v
		u.lists[key] = append(u.lists[key], v)
	}
	return u
}

func (u unitFile) seconds(key string) seconds {
	v, ok := u.values[key]
	if !ok {
		return seconds{}
	}
	d, ok := unitSeconds(v.text)
	return seconds{v.at, d, ok}
}

// unitSeconds reads a time span of systemd: "90", "1min 30s", "infinity".
func unitSeconds(text string) (total time.Duration, ok bool) {
	if text == "infinity" {
		return 365 * 24 * time.Hour, true
	}
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n) * time.Second, true
	}
	for _, part := range strings.Fields(text) {
		for long, short := range map[string]string{"min": "m", "sec": "s", "hour": "h", "hr": "h"} {
			if n, found := strings.CutSuffix(part, long); found {
				part = n + short
			}
		}
		d, err := time.ParseDuration(part)
		if err != nil {
			return 0, false
		}
		total += d
	}
	return total, text != ""
}

// set is an edit that writes a setting of [Service].
func (u unitFile) set(name, value string) edit {
	if v, ok := u.values["Service."+name]; ok {
		return edit{file: u.src.name, line: v.at.line, text: name + "=" + value}
	}
	for i, line := range u.src.lines {
		if strings.TrimSpace(line) == "[Service]" {
			return edit{file: u.src.name, line: i + 1, after: true, text: name + "=" + value}
		}
	}
	return edit{}
}

// systemd finds the units that run Sluice, with the socket units given beside them.
func (w *world) systemd() (all []*deployment) {
	for _, u := range w.units {
		start := u.values["Service.ExecStart"]
		words := strings.Fields(strings.TrimLeft(start.text, "-@:+!"))
		if u.socket || len(words) == 0 || !isSluice(words[0]) {
			continue
		}
		d := &deployment{platform: systemd, name: "unit " + u.src.name[strings.LastIndexByte(u.src.name, '/')+1:], at: start.at, args: words, argsAt: start.at}
		for _, e := range u.lists["Service.Environment"] {
			for _, kv := range strings.Fields(e.text) {
				d.env = append(d.env, strings.Trim(kv, `"'`))
			}
		}
		limit := u.seconds("Service.TimeoutStopSec")
		if !limit.ok {
			limit = u.seconds("Service.TimeoutSec")
		}
		d.stop = stopLimit{limit, "TimeoutStopSec", 90 * time.Second, u.set("TimeoutStopSec", ""), func(v string) edit { return u.set("TimeoutStopSec", v) }}
		d.signal = u.values["Service.KillSignal"]
		if v, ok := u.values["Service.LimitNOFILE"]; ok {
			hard := v.text[strings.LastIndexByte(v.text, ':')+1:] // the runtime raises the soft one to it
			n, err := strconv.ParseInt(hard, 10, 64)
			if hard == "infinity" {
				n, err = 1<<30, nil
			}
			d.nofile = number{v.at, n, err == nil}
		}
		if v, ok := u.values["Service.User"]; !ok && u.values["Service.DynamicUser"].text != "yes" || v.text == "root" {
			d.pod.root = start.at
			if ok {
				d.pod.root = v.at
			}
		}
		d.unit = unit{is: true, kind: u.values["Service.Type"], killMode: u.values["Service.KillMode"], restart: u.values["Service.Restart"],
			success: u.values["Service.SuccessExitStatus"], watchdog: u.seconds("Service.WatchdogSec"), reload: u.values["Service.ExecReload"],
			notifyAccess: u.values["Service.NotifyAccess"],
			set:          u.set}
		w.sockets(d)
		all = append(all, d)
	}
	return all
}

// sockets adds what socket units open.
func (w *world) sockets(d *deployment) {
	for _, u := range w.units {
		if !u.socket {
			continue
		}
		if v := u.values["Socket.Accept"]; v.text == "yes" || v.text == "true" {
			d.unit.accept = v.at
		}
		for _, v := range u.lists["Socket.ListenStream"] {
			n, err := strconv.ParseInt(v.text[strings.LastIndexByte(v.text, ':')+1:], 10, 64)
			d.ports = append(d.ports, number{v.at, n, err == nil})
			d.exposed = append(d.exposed, number{v.at, n, err == nil})
		}
	}
}
