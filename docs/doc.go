// Package docs carries those files of the documentation that the program itself prints, so that they
// are there where only the binary is:
//
//	schema := docs.ConfigSchema // what `sluice config schema` prints
//
// They are made and checked by tests of the packages that they tell of.
package docs

import "embed"

// ConfigSchema is the JSON Schema of the configuration file, config.schema.json.
//
//go:embed config.schema.json
var ConfigSchema []byte

// Errors is what the words of errors mean: a section of level three for each, errors.md.
//
//go:embed errors.md
var Errors string

// Doctor has a section of level two for each rule of the doctor, doctor.md.
//
//go:embed doctor.md
var Doctor string

// Runbooks has a page for each alert, runbooks/NAME.md.
//
//go:embed runbooks/Sluice*.md
var Runbooks embed.FS
