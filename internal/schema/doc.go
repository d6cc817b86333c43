// Package schema makes JSON Schema of Go types, for the published forms of what commands print with
// --json. Only tests use it: they compare what it makes with the files in docs/schemas.
//
//	words, err := schema.Comments("../../drain", "../../admin")
//	g := schema.Generator{Words: words, Texts: map[reflect.Type][]string{...}}
//	form, err := g.Form("Status of a process", reflect.TypeFor[admin.Status]())
//
// The spelling is that of draft 7, which everything reads. Fields that are not known are allowed, because
// new ones may come; those that are always there are required. What a field means is its comment.
package schema
