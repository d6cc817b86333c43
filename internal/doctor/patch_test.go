package doctor_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/doctor"
)

// balanced checks that a hunk has no more context before its first change than behind its last,
// unless the file ends there: patch takes such a hunk for the end of the file.
func balanced(t *testing.T, files []doctor.File, patch string) {
	t.Helper()
	length := map[string]int{}
	for _, f := range files {
		length[f.Name] = strings.Count(strings.TrimSuffix(string(f.Text), "\n"), "\n") + 1
	}
	file := ""
	for _, hunk := range strings.Split("\n"+patch, "\n@@ ") {
		head, body, _ := strings.Cut(hunk, "\n")
		body, next, more := strings.Cut(body, "\n--- ")
		var from, had int
		if _, err := fmt.Sscanf(head, "-%d,%d", &from, &had); err == nil {
			lines := slices.DeleteFunc(strings.Split(strings.TrimSuffix(body, "\n"), "\n"), func(l string) bool { return strings.HasPrefix(l, "\\") })
			before := slices.IndexFunc(lines, func(l string) bool { return l[0] != ' ' })
			slices.Reverse(lines)
			after := slices.IndexFunc(lines, func(l string) bool { return l[0] != ' ' })
			if before > after && from+had-1 != length[file] {
				t.Errorf("%d lines before and %d behind in %q of %s", before, after, hunk, file)
			}
		} else {
			next, more = strings.TrimPrefix(hunk, "\n--- "), true
		}
		if more {
			file, _, _ = strings.Cut(next, "\n")
			file = strings.TrimSuffix(file, "\t")
		}
	}
}

// TestSuggestion: a misspelt key of a configuration is named with what was probably meant.
func TestSuggestion(t *testing.T) {
	r := doctor.Examine([]doctor.File{{Name: "a.yaml", Text: []byte("version: 1\nlisteners: [{name: web, address: \":8080\"}]\npolicy: {dir: /p}\ndrain: {lingr: 3s}\n")}}, doctor.Options{})
	if len(r.Findings) != 1 || r.Findings[0].Line != 4 || !strings.HasSuffix(r.Findings[0].Message, `did you mean "linger"?`) {
		t.Errorf("%+v", r.Findings)
	}
}
