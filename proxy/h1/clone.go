package h1

// Clone returns a copy of the request that aliases nothing: it stays valid when the input of Parse
// does not.
func (r *Request) Clone() *Request {
	n := len(r.Method) + len(r.Target) + len(r.Path) + len(r.Query) + len(r.Scheme) + len(r.Host) + len(r.Upgrade)
	for i := range r.Fields {
		n += len(r.Fields[i].Name) + len(r.Fields[i].Value)
	}
	text := make([]byte, 0, n)
	own := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		at := len(text)
		text = append(text, b...)
		return text[at:len(text):len(text)]
	}
	c := *r
	c.Method, c.Target, c.Path, c.Query = own(r.Method), own(r.Target), own(r.Path), own(r.Query)
	c.Scheme, c.Host, c.Upgrade = own(r.Scheme), own(r.Host), own(r.Upgrade)
	c.Fields = make([]Field, len(r.Fields))
	for i, f := range r.Fields {
		c.Fields[i] = Field{Name: own(f.Name), Value: own(f.Value), ID: f.ID, Hop: f.Hop}
	}
	return &c
}
