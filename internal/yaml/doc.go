// Package yaml reads the operator's files strictly: into a tree that knows the line
// and column of everything, and from it into Go structs, with every fault reported at
// once. It is the only importer of the YAML library.
//
//	doc, err := yaml.Parse("sluice.yaml", src, yaml.Limits{})
//	var cfg struct {
//		Listen  string        `yaml:"listen,required"`
//		Mode    string        `yaml:"mode" enum:"http,tcp"`
//		Timeout time.Duration `yaml:"timeout"` // "30s"; a bare number is a fault
//	}
//	err = doc.Decode(&cfg)             // *yaml.Faults: unknown keys, types, units, ...
//	fmt.Print(err)                     // sluice.yaml:4:5 error [unknown-key] unknown key "tiemout" ...
//	pos, _ := doc.At("listen")         // for faults that only you can see
//
// # What is accepted
//
// One document per file whose root is a mapping. Keys are strings. Anchors, aliases and
// merge keys work; tags, several documents and a key given twice are faults. Top-level
// keys that begin with "x-" are for anchors and are otherwise ignored. A key whose field
// is not in the file leaves the field as it was, so that defaults are set beforehand.
//
// # Limits
//
// Size, depth and the number of values after expansion of aliases are bounded ([Limits])
// before memory is spent on them. Parse never panics on any input. A Document is
// immutable and safe for concurrent use.
package yaml
