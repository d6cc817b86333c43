package yaml

import "strings"

// copy copies quotes and brackets to b until they are closed, the line ends, or a comment
// begins, and returns what is left of the line.
func (c *carry) copy(b *strings.Builder, s string) string {
	begin, space, last := s, false, byte('[')
	word := func(text string, kind byte) {
		if last == ',' || last == ':' || space && last != '[' {
			b.WriteByte(' ')
		}
		b.WriteString(text)
		space, last = false, kind
	}
	for s != "" {
		if c.quote != 0 {
			n, closed := quotedLength(s, c.quote)
			b.WriteString(s[:n])
			s = s[n:]
			if !closed {
				return ""
			}
			c.quote, last = 0, 'q'
			if c.depth == 0 {
				return s
			}
			continue
		}
		n := 1
		switch ch := s[0]; {
		case ch == ' ' || ch == '\t':
			space = true
		case ch == '#' && (space || s == begin):
			return s
		case ch == '[' || ch == '{':
			word(s[:1], '[')
			c.depth++
		case ch == ']' || ch == '}' || ch == ',':
			b.WriteByte(ch)
			space, last = false, ch
			if ch != ',' {
				c.depth, last = c.depth-1, 'q'
			}
			if c.depth == 0 {
				return s[1:]
			}
		case ch == ':' && (last == 'q' || endsWord(s[1:])):
			b.WriteByte(ch)
			space, last = false, ch
		case ch == '"' || ch == '\'':
			word(s[:1], 'q')
			c.quote = ch
		default:
			n = plainLength(s)
			text := strings.TrimRight(s[:n], " \t")
			word(text, 'p')
			space = len(text) < n
		}
		s = s[n:]
	}
	return ""
}

// quotedLength is how long a text is up to its closing quote, that included, or to the end of
// the line.
func quotedLength(s string, quote byte) (n int, closed bool) {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote == '"':
			i++
		case s[i] == quote && quote == '\'' && strings.HasPrefix(s[i+1:], "'"):
			i++
		case s[i] == quote:
			return i + 1, true
		}
	}
	return len(s), false
}

// plainLength is how long a plain scalar in brackets is, in this line.
func plainLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case strings.IndexByte(",[]{}", s[i]) >= 0,
			s[i] == ':' && endsWord(s[i+1:]),
			s[i] == '#' && (s[i-1] == ' ' || s[i-1] == '\t'):
			return i
		}
	}
	return len(s)
}

// endsWord reports whether a colon before s, in brackets, separates a key from its value.
func endsWord(s string) bool { return s == "" || strings.IndexByte(" \t,[]{}", s[0]) >= 0 }

// commentAt is where a comment begins behind a plain scalar; -1: nowhere.
func commentAt(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] == '#' && (s[i-1] == ' ' || s[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// cutKey splits a line that begins with a key, outside of brackets.
func cutKey(s string) (key, after string, ok bool) {
	i := 0
	switch {
	case s == "" || strings.IndexByte("#[{|>", s[0]) >= 0:
		return "", "", false
	case s[0] == '"' || s[0] == '\'':
		n, closed := quotedLength(s[1:], s[0])
		if !closed {
			return "", "", false
		}
		i = n + 1
		for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
			i++
		}
		if i == len(s) || s[i] != ':' {
			return "", "", false
		}
	}
	for ; i < len(s); i++ {
		switch {
		case s[i] == ':' && (i+1 == len(s) || s[i+1] == ' ' || s[i+1] == '\t'):
			return strings.TrimRight(s[:i], " \t"), s[i+1:], true
		case s[i] == '#' && i > 0 && (s[i-1] == ' ' || s[i-1] == '\t'):
			return "", "", false
		}
	}
	return "", "", false
}
