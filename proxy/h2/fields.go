package h2

// fieldList is a decoded header list. Names and values are in buf, or in what buf was before it grew.
type fieldList struct {
	fields    []Field
	buf       []byte
	size      int // by RFC 9113 section 6.5.2
	crumbs    int // fields named cookie
	maxBytes  int
	maxFields int
	tooLarge  bool // fields holds only what came before
}

func (l *fieldList) reset() {
	clear(l.fields)
	*l = fieldList{fields: l.fields[:0], buf: l.buf[:0]}
}

// add copies a field. It reports whether there is room for more.
func (l *fieldList) add(name, value string, sensitive bool) bool {
	l.size += len(name) + len(value) + 32
	others := len(l.fields) - l.crumbs
	if name == "cookie" {
		l.crumbs++
		others--
	}
	if l.size > l.maxBytes || others >= l.maxFields || l.crumbs > maxCrumbs {
		l.tooLarge = true
		return false
	}
	b := l.take(len(name) + len(value))
	copy(b, name)
	copy(b[len(name):], value)
	l.fields = append(l.fields, Field{Name: b[:len(name):len(name)], Value: b[len(name):], Sensitive: sensitive})
	return true
}

// take returns n bytes of buf. Where it is too small, what was taken before stays where it is.
func (l *fieldList) take(n int) []byte {
	if len(l.buf)+n > cap(l.buf) {
		l.buf = make([]byte, 0, max(2*cap(l.buf), n, 2048))
	}
	at := len(l.buf)
	l.buf = l.buf[:at+n]
	return l.buf[at : at+n : at+n]
}

// joinCookies makes one Cookie field of its pieces, RFC 9113 section 8.2.3. It stands where the first stood.
func (l *fieldList) joinCookies() {
	if l.crumbs < 2 || l.tooLarge {
		return
	}
	n := 0
	for i := range l.fields {
		if string(l.fields[i].Name) == "cookie" {
			n += len(l.fields[i].Value) + 2
		}
	}
	joined := l.take(n - 2)[:0]
	kept, at := l.fields[:0], -1
	for _, f := range l.fields {
		if string(f.Name) != "cookie" {
			kept = append(kept, f)
			continue
		}
		if at < 0 {
			at = len(kept)
			kept = append(kept, f)
		} else {
			joined = append(joined, "; "...)
			kept[at].Sensitive = kept[at].Sensitive || f.Sensitive
		}
		joined = append(joined, f.Value...)
	}
	kept[at].Value = joined
	clear(l.fields[len(kept):])
	l.fields = kept
}

// fieldCopy holds fields until they are sent. The zero value is empty; it keeps its memory.
type fieldCopy struct {
	fields []Field
	buf    []byte
}

func (f *fieldCopy) set(fields []Field) {
	n := 0
	for i := range fields {
		n += len(fields[i].Name) + len(fields[i].Value)
	}
	if n > cap(f.buf) {
		f.buf = make([]byte, 0, n)
	}
	f.fields = f.fields[:0]
	for i := range fields {
		f.fields = append(f.fields, Field{f.keep(fields[i].Name), f.keep(fields[i].Value), fields[i].Sensitive})
	}
}

func (f *fieldCopy) keep(b []byte) []byte {
	at := len(f.buf)
	f.buf = append(f.buf, b...)
	return f.buf[at:len(f.buf):len(f.buf)]
}

func (f *fieldCopy) clear() {
	clear(f.fields)
	f.fields, f.buf = f.fields[:0], f.buf[:0]
	if cap(f.buf) > 2048 {
		*f = fieldCopy{}
	}
}
