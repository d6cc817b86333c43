package doctor

import (
	"path"
	"slices"
	"strings"
)

// split is a command line in words, as systemd and compose split it: by blanks, with quotes and
// backslashes. A quote that is not closed goes to the end.
func split(line string) (list []string) {
	var word strings.Builder
	inWord, quote, escaped := false, rune(0), false
	for _, c := range line {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			inWord, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			inWord, quote = true, c
		case quote == 0 && strings.ContainsRune(" \t\r\n", c):
			if inWord {
				list = append(list, word.String())
			}
			word.Reset()
			inWord = false
		default:
			inWord = true
			word.WriteRune(c)
		}
	}
	if inWord {
		list = append(list, word.String())
	}
	return list
}

var (
	shells = []string{"sh", "bash", "ash", "dash"}
	// wrappers start another program and are replaced by it, or pass it every signal.
	wrappers = []string{"env", "tini", "dumb-init", "catatonit", "docker-init", "setpriv", "nice", "exec"}
)

// unwrap is the command line of the process that gets the signals: without wrappers, and of
// `sh -c "exec sluice …"` what is executed in the place of the shell.
func unwrap(words []string) []string {
	if len(words) == 0 {
		return words
	}
	base := path.Base(words[0])
	if slices.Contains(shells, base) {
		for i, w := range words[1:] {
			if !strings.HasPrefix(w, "-") || !strings.HasSuffix(w, "c") || i+2 >= len(words) {
				continue
			}
			if before, script, found := strings.Cut(" "+words[i+2], " exec "); found && !strings.ContainsAny(before, "'\"#") {
				if inner := split(script); len(inner) > 0 && isSluice(inner[0]) {
					return inner
				}
			}
			break
		}
		return words
	}
	if slices.Contains(wrappers, base) {
		for i, w := range words {
			if isSluice(w) {
				return words[i:]
			}
			if slices.Contains(shells, path.Base(w)) {
				return unwrap(words[i:])
			}
		}
	}
	return words
}

// likely is how much a container looks like Sluice: what it runs says more than its image, and
// that more than its name. 0: not at all.
func likely(command []string, image, name string) int {
	own := func(words ...string) bool {
		return slices.ContainsFunc(words, func(s string) bool { return isSluice(s) && !strings.Contains(path.Base(s), "sluice-") })
	}
	switch {
	case own(command...):
		return 5
	case slices.ContainsFunc(command, func(s string) bool { return slices.ContainsFunc(split(s), isOwn) }):
		return 5
	case own(image):
		return 4
	case isSluice(command...), isSluice(image):
		return 3
	case own(name):
		return 2
	case isSluice(name):
		return 1
	}
	return 0
}

func isOwn(s string) bool { return path.Base(s) == "sluice" }

// likeliest is the container that looks most like Sluice.
func likeliest(containers []tree, command string) (best tree, found bool) {
	most := 0
	for _, c := range containers {
		if n := likely(c.get(command).texts(), c.get("image").text(), c.get("name").text()); n > most {
			best, most = c, n
		}
	}
	return best, most > 0
}
