package doctor

import (
	"path"
	"strings"
)

// Candidate says whether a file in a directory could be of a kind that is known.
func Candidate(name string) bool {
	base := path.Base(slashes(name))
	switch path.Ext(base) {
	case ".yaml", ".yml", ".json", ".service", ".socket", ".dockerfile":
		return true
	}
	return unitOf(name) != "" || base == "Dockerfile" || strings.HasPrefix(base, "Dockerfile.")
}
