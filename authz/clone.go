package authz

import "slices"

// Clone returns a copy that shares nothing with the loop's buffers: for work that
// leaves the loop. names are the fields (lower case) that the copy keeps.
func (r *Request) Clone(names ...string) *Request {
	c := *r
	c.Host, c.Path, c.Query, c.Authority = slices.Clone(r.Host), slices.Clone(r.Path), slices.Clone(r.Query), slices.Clone(r.Authority)
	if r.Fields != nil {
		kept := make(clonedFields, len(names))
		for _, name := range names {
			if v, n := r.Fields.Field(name); n > 0 {
				kept[name] = clonedField{slices.Clone(v), n}
			}
		}
		c.Fields = kept
	}
	return &c
}

type clonedField struct {
	value []byte
	count int
}

type clonedFields map[string]clonedField

func (f clonedFields) Field(name string) ([]byte, int) {
	v := f[name]
	return v.value, v.count
}
