package doctor

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// unitFile is a unit: the last value of each setting, by "Section.Name".
type unitFile struct {
	src    *source
	socket bool
	values map[string]textValue
	lists  map[string][]textValue
	wide   map[spot]bool // settings that go over several lines
}

// readUnit reads a unit file and its drop-ins, in the order of their names: what comes later
// counts, and an empty value takes back what was before.
func readUnit(src *source, dropIns []*source) unitFile {
	u := unitFile{src: src, socket: strings.HasSuffix(src.name, ".socket"), values: map[string]textValue{}, lists: map[string][]textValue{}, wide: map[spot]bool{}}
	u.add(src)
	dropIns = slices.Clone(dropIns)
	slices.SortStableFunc(dropIns, func(a, b *source) int { return cmp.Compare(path.Base(slashes(a.name)), path.Base(slashes(b.name))) })
	for _, d := range dropIns {
		u.add(d)
	}
	return u
}

func slashes(name string) string { return strings.ReplaceAll(name, "\\", "/") }

// unitOf is the base name of the unit that a drop-in adds to; empty: it is none.
func unitOf(name string) string {
	dir, isDropIn := strings.CutSuffix(path.Base(path.Dir(slashes(name))), ".d")
	if ext := path.Ext(dir); !isDropIn || path.Ext(name) != ".conf" || ext != ".service" && ext != ".socket" {
		return ""
	}
	return dir
}

// add reads a file: sections, Name=value, comments, lines that go on after "\".
func (u unitFile) add(src *source) {
	section, joined, from := "", "", 0
	for i := range src.lines {
		line := strings.TrimSpace(src.line(i + 1))
		if line == "" && joined == "" || line != "" && (line[0] == '#' || line[0] == ';') {
			continue
		}
		if joined == "" {
			from = i + 1
		}
		if rest, more := strings.CutSuffix(line, `\`); more {
			joined += rest + " "
			continue
		}
		wide := joined != ""
		line, joined = joined+line, ""
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		u.assign(section+"."+strings.TrimSpace(name), textValue{spot{src.name, from, 1}, strings.TrimSpace(value)}, wide)
	}
}

func (u unitFile) assign(key string, v textValue, wide bool) {
	u.values[key], u.wide[v.at] = v, wide
	u.lists[key] = append(u.lists[key], v)
	if v.text == "" {
		delete(u.values, key)
		delete(u.lists, key)
	}
}

// is reads a switch of [Service].
func (u unitFile) is(key string) bool { return unitTrue(u.values[key].text) }

func unitTrue(text string) bool {
	return slices.Contains([]string{"yes", "true", "on", "1", "y", "t"}, strings.ToLower(text))
}

func (u unitFile) seconds(key string) seconds {
	v, ok := u.values[key]
	if !ok {
		return seconds{}
	}
	d, ok := unitSeconds(v.text)
	return seconds{v.at, d, ok}
}

const endless = 365 * 24 * time.Hour

var unitUnits = map[string]time.Duration{
	"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"us": time.Microsecond, "usec": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond, "msec": time.Millisecond,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
}

// unitSeconds reads a time span of systemd (systemd.time(7)): "90", "1min 30s", "2 min", "infinity".
func unitSeconds(text string) (total time.Duration, ok bool) {
	if text == "infinity" {
		return endless, true
	}
	for rest := strings.TrimSpace(text); rest != ""; ok = true {
		n := strings.IndexFunc(rest, func(c rune) bool { return c != '.' && (c < '0' || c > '9') })
		if n < 0 {
			n = len(rest)
		}
		count, err := strconv.ParseFloat(rest[:n], 64)
		rest = strings.TrimSpace(rest[n:])
		n = strings.IndexFunc(rest, func(c rune) bool { return !unicode.IsLetter(c) })
		if n < 0 {
			n = len(rest)
		}
		unit, known := unitUnits[rest[:n]]
		if err != nil || !known || count > 1e9 || total > endless {
			return 0, false
		}
		total += time.Duration(count * float64(unit))
		rest = strings.TrimSpace(rest[n:])
	}
	return min(total, endless), ok
}

// set is an edit that writes a setting of [Service].
func (u unitFile) set(name, value string) edit {
	if v, ok := u.values["Service."+name]; ok {
		if u.wide[v.at] {
			return edit{}
		}
		return edit{file: v.at.file, line: v.at.line, text: name + "=" + value + u.src.cr}
	}
	for i := range u.src.lines {
		if strings.TrimSpace(u.src.line(i+1)) == "[Service]" {
			return edit{file: u.src.name, line: i + 1, after: true, text: name + "=" + value + u.src.cr}
		}
	}
	return edit{}
}
