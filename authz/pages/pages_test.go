package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
	xhtml "golang.org/x/net/html"

	"github.com/sluiceproxy/sluice/authz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func field(a authz.Answer, name string) (value string) {
	for _, f := range a.Fields {
		if strings.EqualFold(f.Name, name) {
			value = f.Value
		}
	}
	return value
}

// The largest there can be: of the longest text, in characters that take most when escaped.
func largest() authz.Answer {
	long := strings.Repeat("'", 5000)
	p := Page{Title: long, Button: Button{Text: "Out", To: "/.sluice/logout"}}
	for range 20 {
		p.Text = append(p.Text, strings.Repeat("é", 3000))
		p.Details = append(p.Details, Detail{"Name", strings.Repeat("x", 5000)})
		p.Links = append(p.Links, Link{"On", "/"})
	}
	return p.Answer(400, "x")
}

func TestPages(t *testing.T) {
	id := &authz.Identity{Method: "oidc/corp", User: "u-1", Email: "<b>@x", Session: &authz.Session{ID: "s"}}
	for name, a := range map[string]authz.Answer{
		"denied": Denied("id-1", "groups-unauthorized", id), "nobody": Denied("id-1", "user-unauthenticated", nil), "largest": largest(),
	} {
		body := string(a.Body)
		if len(body) >= 6<<10 {
			t.Errorf("%s: %d bytes", name, len(body))
		}
		for _, want := range []string{`<html lang="en">`, "<title>", "<main>", "<h1>", `name="viewport"`, "prefers-color-scheme"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %s", name, want)
			}
		}
		for _, bad := range []string{"<script", "<b>", "<img", "<link", "@import", "url(", "ZgotmplZ", " on"} {
			if i := strings.Index(body, bad); i >= 0 && (bad != " on" || regexp.MustCompile(` on[a-z]+=`).MatchString(body)) {
				t.Errorf("%s: %q in it", name, bad)
			}
		}
		css := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)[1]
		sum := sha256.Sum256([]byte(css))
		csp := field(a, "Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: its own style is not allowed by %q", name, csp)
		}
		if field(a, "Cache-Control") != "no-store" || field(a, "Referrer-Policy") == "" {
			t.Errorf("%s: %+v", name, a.Fields)
		}
	}
	body := string(Denied("id-1", "groups-unauthorized", id).Body)
	for _, want := range []string{"id-1", "groups-unauthorized", "&lt;b&gt;@x (u-1)", `href="/.sluice/logout/corp"`, "sluice why ID"} {
		if !strings.Contains(body, want) {
			t.Errorf("denied: no %s", want)
		}
	}
}

// What comes from elsewhere is text, and no address of a script.
func TestNothingGetsOut(t *testing.T) {
	const evil = `"><script>alert(1)</script><a href='javascript:x`
	a := Page{Title: evil, Text: []string{evil}, Details: []Detail{{evil, evil}}, Links: []Link{{evil, "javascript:alert(1)"}}, Button: Button{Text: evil, To: "javascript:alert(1)"}}.Answer(400, "x")
	body := string(a.Body)
	for _, bad := range []string{"<script", "javascript:alert", "<a href='"} {
		if strings.Contains(body, bad) {
			t.Errorf("%q stands in the page:\n%s", bad, body)
		}
	}
}

// FuzzPage: whatever stands in a page, a browser finds our elements in it and no others, and reads the texts as they were given.
func FuzzPage(f *testing.F) {
	f.Add("title", "text", "/path", "link")
	f.Add("</title><script>", "<p onclick=x>", "javascript:alert(1)", `" onmouseover="x`)
	f.Add("&lt;&amp;", "]]><!--", "//evil.test", "\x00\u202e")
	f.Add("'", `\"`, "HTTPS://x", "</textarea>")
	f.Fuzz(func(t *testing.T, title, text, to, link string) {
		body := Page{Title: title, Text: []string{text}, Details: []Detail{{link, text}}, Links: []Link{{link, to}}, Button: Button{Text: "b" + link, To: to}}.Answer(400, "x").Body
		doc, err := xhtml.Parse(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var elements []string
		texts := map[string]string{}
		for n := range doc.Descendants() {
			if n.Type == xhtml.CommentNode {
				t.Errorf("a comment: %q", n.Data)
			}
			if n.Type != xhtml.ElementNode {
				continue
			}
			elements = append(elements, n.Data)
			if n.FirstChild != nil && n.FirstChild.Type == xhtml.TextNode {
				texts[n.Data] = n.FirstChild.Data
			}
			for _, a := range n.Attr {
				switch {
				case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "src":
					t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
				case (a.Key == "href" || a.Key == "action") && a.Val != "#" && (!strings.HasPrefix(a.Val, "/") || strings.HasPrefix(a.Val, "//") || strings.HasPrefix(a.Val, "/\\")) && !strings.HasPrefix(a.Val, "http://") && !strings.HasPrefix(a.Val, "https://"):
					t.Errorf("%s leads to %q", n.Data, a.Val)
				}
			}
		}
		if got, want := strings.Join(elements, " "), "html head meta meta meta title style body main h1 p form button p a dl dt dd"; got != want {
			t.Errorf("the elements are %s, want %s", got, want)
		}
		if plain := cut(title, maxValue); plain == strings.ToValidUTF8(plain, "") && !strings.ContainsAny(plain, "\x00\r") && plain != "" && texts["h1"] != plain {
			t.Errorf("the title is read as %q, and was %q", texts["h1"], plain)
		}
	})
}

// Text has a contrast of 4.5 at least, by day and by night (WCAG 2.2, 1.4.3).
func TestContrast(t *testing.T) {
	themes := regexp.MustCompile(`--text:(#\w+);--faint:(#\w+);--ground:(#\w+);--link:(#\w+)`).FindAllStringSubmatch(style, -1)
	if len(themes) != 2 {
		t.Fatalf("%d themes", len(themes))
	}
	for _, c := range themes {
		for _, text := range []string{c[1], c[2], c[4]} {
			a, b := luminance(t, text), luminance(t, c[3])
			if ratio := (max(a, b) + .05) / (min(a, b) + .05); ratio < 4.5 {
				t.Errorf("%s on %s: %.1f", text, c[3], ratio)
			}
		}
	}
}

func luminance(t *testing.T, colour string) (sum float64) {
	t.Helper()
	for i, weight := range []float64{.2126, .7152, .0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= .04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
