//go:build !nocel

package celexpr

import (
	"fmt"
	"strings"
	"testing"
)

// What a client sends may be long. No expression that loads takes long for it, or makes much of it:
// true is refused at load, false when it runs.
func TestLongStrings(t *testing.T) {
	long := request()
	long.Path, long.Query = []byte("/"+strings.Repeat("a", 16_000)), []byte(strings.Repeat("a", 16_000))
	for text, refused := range map[string]bool{
		`query.replace("a", query).size() > 3`:                                                            true,
		`groups.join(query).size() > 3`:                                                                   true,
		`"%.9000000f".format([double(query.size())]).size() > 3`:                                          true,
		`query.indexOf(query.substring(0, 8000) + "b") > 3`:                                               true,
		`query.lastIndexOf(path) > 3`:                                                                     true,
		`path.matches(query)`:                                                                             true,
		`matches(path, "a" + query)`:                                                                      true,
		`path.matches("(?i)` + strings.Repeat("a?", 1900) + `b")`:                                         true,
		`path.matches("(?i)` + strings.Repeat("a?", 400) + `b")`:                                          false,
		`matches(path, "` + strings.Repeat("(.*a)?", 100) + `b")`:                                         false,
		`dyn(path).matches("` + strings.Repeat("a?", 400) + `b")`:                                         false,
		`matches(dyn(path), "` + strings.Repeat("a?", 400) + `b")`:                                        false,
		`groups.exists(g, path.matches("b$"))`:                                                            false,
		`groups.exists(g, query.reverse() == g)`:                                                          false,
		`groups.exists(g, query.charAt(7) == "b")`:                                                        false,
		`groups.exists(g, query.size() == 3)`:                                                             false,
		`groups.exists(g, now.getHours("Europe/Berlin") == 77)`:                                           false,
		`groups.exists(g, query.split("a").size() == 3)`:                                                  false,
		`groups.exists(g, query.lowerAscii() == g || query.upperAscii() == g || query.substring(1) == g)`: false,
	} {
		e, faults := Compile(text)
		if (len(faults) > 0) != refused {
			t.Errorf("%.60s: %v", text, faults)
		}
		if len(faults) > 0 {
			continue
		}
		want := "cost limit"
		if strings.Contains(text, "?") { // known before it is begun: one call would take a second
			want = "too long for the pattern"
		}
		if met, err := e.Eval(many(), long); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, %v, want an error: %s", text, met, err, want)
		}
	}
}

// A root name is the same variable, and so are the facts about it.
func TestRootNames(t *testing.T) {
	for _, v := range Variables() {
		text := fmt.Sprintf(".%s == %s", v.Name, v.Name)
		e, faults := Compile(text)
		plain, _ := Compile(fmt.Sprintf("%s == %s", v.Name, v.Name))
		if len(faults) > 0 {
			t.Fatal(text, faults)
		}
		only, faults := Compile(fmt.Sprintf(".%s == .%s", v.Name, v.Name))
		if len(faults) > 0 || e.Facts() != plain.Facts() || only.Facts() != plain.Facts() {
			t.Errorf("%s: %+v, %+v, want %+v", text, e.Facts(), only.Facts(), plain.Facts())
		}
	}
}
