package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/casebook"
	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/proxy"
)

// judge answers what a policy says of requests that nobody sent, as the proxy would.
type judge struct {
	core  *proxy.Core
	rules map[string]*policy.Rules // by route
	names []string                 // of all routes, in their order
}

func newJudge(paths []string) (*judge, error) {
	doc, err := readPolicy(paths)
	if err != nil {
		return nil, err
	}
	return newJudgeOf(doc)
}

func newJudgeOf(doc *policy.Document) (*judge, error) {
	core := policyCore(doc, nil)
	if err := core.Apply(context.Background(), "offline", doc); err != nil {
		return nil, err
	}
	j := &judge{core: core, rules: map[string]*policy.Rules{}}
	for i := range doc.Routes {
		r := &doc.Routes[i]
		j.rules[r.Name], j.names = r.Policy, append(j.names, r.Name)
	}
	for i := range doc.TCPRoutes {
		r := &doc.TCPRoutes[i]
		j.rules[r.Name], j.names = r.Policy, append(j.names, r.Name)
	}
	return j, nil
}

// ruling is what becomes of a case.
type ruling struct {
	Outcome casebook.Outcome `json:"outcome"`
	Status  int              `json:"status,omitempty"` // of the refusal
	Reason  string           `json:"reason"`
	Route   string           `json:"route,omitempty"`
	Rule    *int             `json:"rule,omitempty"`
}

func (v ruling) String() string {
	s := string(v.Outcome)
	if v.Status != 0 {
		s += fmt.Sprintf(" (%d)", v.Status)
	}
	if v.Reason != policy.ReasonOK {
		s += " " + v.Reason
	}
	if v.Route != "" {
		s += " by route " + v.Route
	}
	if v.Rule != nil {
		s += fmt.Sprintf(", rule %d", *v.Rule)
	}
	return s
}

// of judges a case. now is when, for a case that does not say it.
func (j *judge) of(c *casebook.Case, now time.Time) (ruling, proxy.Judgement) {
	q := question(c, now)
	a := j.core.Judge(&q)
	v := ruling{Outcome: casebook.Refuse, Status: a.Status, Reason: a.Reason, Route: a.Route}
	if a.Request != nil {
		v.Outcome = casebook.Deny
		switch a.Decision.Verdict {
		case authz.Allow:
			v.Outcome = casebook.Allow
		case authz.Challenge:
			v.Outcome = casebook.Challenge
		case authz.Deny, authz.Unavailable, authz.Pending:
		}
		if a.Decision.Rule >= 0 {
			v.Rule = &a.Decision.Rule
		}
	}
	return v, a
}

func question(c *casebook.Case, now time.Time) proxy.Question {
	if !c.Request.Time.IsZero() {
		now = c.Request.Time
	}
	return proxy.Question{Listener: c.Request.Listener, Method: c.Request.Method, Host: c.Request.Host, Path: c.Request.Path, Query: c.Request.Query,
		Source: c.Request.SourceIP, Time: now, Identity: c.Identity.Authz(), Certificate: c.Certificate.Authz(), Preflight: c.Request.Preflight}
}

// trace explains a judgement; nil if no rules were asked.
func (j *judge) trace(c *casebook.Case, a *proxy.Judgement) *policy.Trace {
	if a.Request == nil {
		return nil
	}
	id := c.Identity.Authz()
	if c.Request.Listener != "" {
		id = nil
	}
	return policy.Explain(j.rules[a.Route], id, a.Request)
}

// looksAtQuery reports whether a rule of the route depends on the query of a request.
func (j *judge) looksAtQuery(route string) bool {
	return policy.CompileRules(j.rules[route]).Facts().Query
}

// readBooks reads files of cases, and which policy they are about: that of the flag, or the one that they all name.
func readBooks(files, given []string) (books []*casebook.Book, paths []string, err error) {
	paths = given
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, nil, err
		}
		src, err := io.ReadAll(io.LimitReader(f, casebook.MaxSize+1))
		_ = f.Close() // only read
		if err != nil {
			return nil, nil, err
		}
		b, err := casebook.Read(name, src)
		if err != nil {
			return nil, nil, err
		}
		books = append(books, b)
		if len(given) > 0 || b.Policy == "" {
			continue
		}
		p := filepath.Join(filepath.Dir(name), b.Policy)
		if len(paths) > 0 && paths[0] != p {
			return nil, nil, fmt.Errorf("%s is about the policy %s, and another file about %s; ask for one at a time", name, p, paths[0])
		}
		paths = []string{p}
	}
	if len(paths) == 0 {
		return nil, nil, errors.New("which policy? Name it by --policy, or as policy: in the file of cases")
	}
	return books, paths, nil
}

// printTrace writes what each rule says, one line for each criterion.
func printTrace(out io.Writer, t *policy.Trace) error {
	var b strings.Builder
	for i, r := range t.Rules {
		fmt.Fprintf(&b, "  rule %d\n", i)
		printSteps(&b, "deny", r.Deny, 2)
		printSteps(&b, "allow", r.Allow, 2)
	}
	if n := t.Nearest; n != nil {
		fmt.Fprintf(&b, "  nearest: rule %d would allow it; for that\n", n.Rule)
		for _, c := range n.Changes {
			fmt.Fprintf(&b, "    %s\n", c)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func printSteps(b *strings.Builder, what string, steps []policy.Step, depth int) {
	if len(steps) == 0 {
		return
	}
	if what != "" {
		fmt.Fprintf(b, "%s%s\n", strings.Repeat("  ", depth), what)
		depth++
	}
	for i := range steps {
		s := &steps[i]
		text := strings.Repeat("  ", depth) + s.Text
		seen := ""
		if s.Seen != "" {
			seen = "   (" + s.Seen + ")"
		}
		fmt.Fprintf(b, "%-60s %s%s\n", text, s.Outcome, seen)
		printSteps(b, "", s.Steps, depth+1)
	}
}

// bindCase binds the flags that describe one request.
func bindCase(cmd *cobra.Command, c *casebook.Case) (finish func() error) {
	f := cmd.Flags()
	var source, at, user, email string
	var groups, claims, uris, dns, emails []string
	f.StringVar(&c.Request.Method, "method", "", "of the request (GET)")
	f.StringVar(&c.Request.Host, "host", "", "that is asked for")
	f.StringVar(&c.Request.Path, "path", "", "as a client sends it (/)")
	f.StringVar(&c.Request.Query, "query", "", "of the request, without the question mark")
	f.BoolVar(&c.Request.Preflight, "preflight", false, "the request is a browser's question about one of another origin (CORS), with method OPTIONS")
	f.StringVar(&c.Request.Listener, "listener", "", "of a TCP route, instead of host, path and method")
	f.StringVar(&source, "source-ip", "", "of the client (127.0.0.1)")
	f.StringVar(&at, "time", "", "of the request, RFC 3339 (now)")
	f.StringVar(&user, "user", "", "who asks; without one the request is anonymous")
	f.StringVar(&email, "email", "", "of the user")
	f.StringSliceVar(&groups, "groups", nil, "of the user, comma-separated")
	f.StringArrayVar(&claims, "claim", nil, "of the user, PATH=VALUE; may be repeated")
	f.StringSliceVar(&uris, "certificate-uri", nil, "in the client's certificate; likewise -dns and -email")
	f.StringSliceVar(&dns, "certificate-dns", nil, "in the client's certificate")
	f.StringSliceVar(&emails, "certificate-email", nil, "in the client's certificate")
	return func() error {
		if source != "" {
			if err := c.Request.SourceIP.UnmarshalText([]byte(source)); err != nil {
				return fmt.Errorf("--source-ip: %w", err)
			}
		}
		if at != "" {
			t, err := time.Parse(time.RFC3339, at)
			if err != nil {
				return fmt.Errorf("--time: %w", err)
			}
			c.Request.Time = t
		}
		if user == "" && (email != "" || len(groups)+len(claims) > 0) {
			return errors.New("--email, --groups and --claim belong to a --user")
		}
		if user != "" {
			c.Identity = &casebook.Identity{User: user, Email: email, Groups: groups, Claims: map[string][]string{}}
			for _, kv := range claims {
				k, v, ok := strings.Cut(kv, "=")
				if !ok || k == "" {
					return fmt.Errorf("--claim %q is not PATH=VALUE", kv)
				}
				c.Identity.Claims[k] = append(c.Identity.Claims[k], v)
			}
		}
		if len(uris)+len(dns)+len(emails) > 0 {
			c.Certificate = &casebook.Certificate{URIs: uris, DNSNames: dns, Emails: emails}
		}
		if c.Request.Preflight && c.Request.Method != "" && c.Request.Method != "OPTIONS" {
			return errors.New("--preflight is a question with method OPTIONS")
		}
		c.Request.Defaults()
		return nil
	}
}
