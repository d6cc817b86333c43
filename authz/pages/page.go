package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"strings"

	"github.com/sluiceproxy/sluice/authz"
)

// Page is what one says. The zero values of all but Title are nothing.
type Page struct {
	Title   string
	Text    []string // paragraphs
	Details []Detail
	Links   []Link
	Button  Button
}

// Detail is something that a person may have to quote.
type Detail struct{ Name, Value string }

// Link leads on. To is a path or an address of https or http; what else it may be leads nowhere.
type Link struct{ Text, To string }

// Button posts an empty form. Text is empty: there is none.
type Button struct {
	Text, To string
	// Elsewhere says that the answer leads to another origin: some browsers hold a redirect against the policy for forms.
	Elsewhere bool
}

// The bounds of what stands in a page, so that it stays below 6 KB: in bytes as they are written there, and by number.
const (
	maxText    = 500
	maxValue   = 200
	maxLinks   = 3
	maxDetails = 6
	maxTexts   = 3
)

const style = `:root{color-scheme:light dark;--text:#1b1f24;--faint:#57606a;--ground:#ffffff;--link:#0b57d0;--edge:#d0d7de}` +
	`@media(prefers-color-scheme:dark){:root{--text:#e6e8eb;--faint:#a0a8b3;--ground:#16181d;--link:#8ab4f8;--edge:#3b4048}}` +
	`body{margin:0;background:var(--ground);color:var(--text);font:1rem/1.5 system-ui,sans-serif}` +
	`main{max-width:38rem;margin:12vh auto 0;padding:0 1.25rem}h1{font-size:1.5rem;line-height:1.25}` +
	`dl{border-top:1px solid var(--edge);padding-top:1rem;overflow-wrap:anywhere}dt{color:var(--faint)}dd{margin:0 0 .75rem;font-family:ui-monospace,monospace}` +
	`a{color:var(--link)}button{font:inherit;padding:.5rem 1.25rem;border:1px solid var(--link);border-radius:.375rem;background:var(--link);color:var(--ground);cursor:pointer}` +
	`a:focus-visible,button:focus-visible{outline:3px solid var(--link);outline-offset:3px}`

// writer writes a page. Everything that is not ours goes through text or address: it stands between tags or in a quoted attribute, and is
// escaped for either. It does without html/template, which would make the whole program a sixth larger: templates call methods by name,
// so that the linker has to keep all there are.
type writer struct{ bytes.Buffer }

func (w *writer) own(s string)  { w.WriteString(s) }
func (w *writer) text(s string) { w.WriteString(html.EscapeString(s)) }

// address writes where a link or a form leads: to a path of this host, or by https or http. Anything else leads nowhere.
func (w *writer) address(to string) {
	here := strings.HasPrefix(to, "/") && (len(to) == 1 || to[1] != '/' && to[1] != '\\')
	if !here && !strings.HasPrefix(to, "https://") && !strings.HasPrefix(to, "http://") {
		to = "#"
	}
	w.text(to)
}

// among writes a text between two pieces of ours.
func (w *writer) among(before, s, after string) {
	w.own(before)
	w.text(s)
	w.own(after)
}

func (w *writer) page(p *Page) {
	w.own(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
`)
	w.among("<title>", p.Title, "</title><style>"+style+"</style></head>\n")
	w.among("<body><main><h1>", p.Title, "</h1>\n")
	for _, t := range p.Text {
		w.among("<p>", t, "</p>\n")
	}
	if b := p.Button; b.Text != "" {
		w.own(`<form method="post" action="`)
		w.address(b.To)
		w.among(`"><button type="submit">`, b.Text, "</button></form>\n")
	}
	for _, l := range p.Links {
		w.own(`<p><a href="`)
		w.address(l.To)
		w.among(`">`, l.Text, "</a></p>\n")
	}
	if len(p.Details) > 0 {
		w.own("<dl>\n")
		for _, d := range p.Details {
			w.among("<dt>", d.Name, "</dt>")
			w.among("<dd>", d.Value, "</dd>\n")
		}
		w.own("</dl>\n")
	}
	w.own("</main></body></html>\n")
}

// styleHash is what the policy of a page allows.
var styleHash = sha256.Sum256([]byte(style))

// policy is the Content-Security-Policy of a page.
func policy(forms string) string {
	return fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; form-action %s; base-uri 'none'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(styleHash[:]), forms)
}

// Answer is the page as an answer, with fields that go beside.
func (p Page) Answer(status int, reason string, fields ...authz.Field) authz.Answer {
	forms := "'self'"
	if p.Button.Elsewhere {
		forms = "'self' https: http://localhost:* http://127.0.0.1:*"
	}
	return authz.Answer{Status: status, Reason: reason, Body: p.render(), Fields: append([]authz.Field{
		{Name: "Content-Type", Value: "text/html; charset=utf-8"},
		{Name: "Cache-Control", Value: "no-store"},
		{Name: "Content-Security-Policy", Value: policy(forms)},
		{Name: "Referrer-Policy", Value: "same-origin"},
		{Name: "X-Frame-Options", Value: "DENY"},
	}, fields...)}
}

func (p Page) render() []byte {
	p.Title = cut(p.Title, maxValue)
	p.Text, p.Details, p.Links = few(p.Text, maxTexts), few(p.Details, maxDetails), few(p.Links, maxLinks)
	for i := range p.Text {
		p.Text[i] = cut(p.Text[i], maxText)
	}
	for i, d := range p.Details {
		p.Details[i] = Detail{cut(d.Name, maxValue), cut(d.Value, maxValue)}
	}
	for i, l := range p.Links {
		p.Links[i].Text = cut(l.Text, maxValue)
	}
	var w writer
	w.page(&p)
	return w.Bytes()
}

// few returns a copy of the first of a list.
func few[T any](list []T, n int) []T { return append([]T(nil), list[:min(n, len(list))]...) }

// cut shortens a text to n bytes, escaped, and says so.
func cut(s string, n int) string {
	for i, r := range s {
		if n -= len(html.EscapeString(string(r))); n < 0 {
			return s[:i] + " …"
		}
	}
	return s
}
