package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

const (
	keyA = "a YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWI=\n"
	keyB = "b YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmM=\n"
	host = "app.example.com"
)

func static(t testing.TB, text string) *Ring {
	t.Helper()
	r, err := Static(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// cookies are the Cookie fields of a request.
type cookies []string

func (c cookies) Field(name string) ([]byte, int) {
	if name != "cookie" || len(c) == 0 {
		return nil, 0
	}
	return []byte(c[0]), len(c)
}

func request(host string, lines ...string) *authz.Request {
	return &authz.Request{Host: []byte(host), Fields: cookies(lines)}
}

// pair is the name and value of a Set-Cookie field value.
func pair(setCookie string) string {
	p, _, _ := strings.Cut(setCookie, ";")
	return p
}

func claims(subject string) Claims {
	return Claims{Provider: "oidc", Issuer: "https://id.example.com", Subject: subject, User: subject, Upstream: "up-" + subject,
		Email: subject + "@example.com", Groups: []string{"staff", "ops"}, Claims: map[string][]string{"acr": {"2"}, "amr": {"otp", "pwd"}}}
}

func begin(t testing.TB, k *Keeper, c Claims) string {
	t.Helper()
	s, err := k.Begin(host, c)
	if err != nil {
		t.Fatal(err)
	}
	return pair(s)
}

func try(k *Keeper, lines ...string) authz.Verdict {
	_, v := k.Try("oidc", request(host, lines...))
	return v
}

func TestBeginAndTry(t *testing.T) {
	k := New(Config{Ring: static(t, keyA)})
	set, err := k.Begin(host, claims("ann"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(set, "__Host-sluice_oidc=v1.a.") || !strings.HasSuffix(set, "; Max-Age=28800; Path=/; Secure; HttpOnly; SameSite=Lax") {
		t.Errorf("Set-Cookie: %s", set)
	}
	req := request(host, "x=y; "+pair(set)+"; z")
	id, v := k.Try("oidc", req)
	if v != authz.Allow {
		t.Fatal(v)
	}
	s := id.Session
	if id.Method != "oidc" || id.User != "ann" || id.Email != "ann@example.com" || fmt.Sprint(id.Groups, id.Claims) != "[staff ops] map[acr:[2] amr:[otp pwd]]" ||
		s == nil || len(s.ID) != 22 || s.Issuer != "https://id.example.com" || s.Subject != "ann" || s.Upstream != "up-ann" || s.Expires.Sub(s.Began) > 24*time.Hour {
		t.Errorf("%+v %+v", id, s)
	}
	if again, v := k.Try("oidc", req); again != id || v != authz.Allow {
		t.Errorf("not remembered: %v", v)
	}
	if other, v := New(Config{Ring: static(t, keyA)}).Try("oidc", req); v != authz.Allow || *other.Session != *s {
		t.Errorf("another replica: %v", v)
	}
	if got := k.Renew(id, "oidc", req); got != "" {
		t.Errorf("renewed at once: %s", got)
	}
}

func TestWhoIsRefused(t *testing.T) {
	k := New(Config{Ring: static(t, keyA)})
	good, other := begin(t, k, claims("ann")), begin(t, k, claims("bob"))
	value := strings.TrimPrefix(good, "__Host-sluice_oidc=")
	foreign := begin(t, New(Config{Ring: static(t, strings.Replace(keyB, "b ", "a ", 1))}), claims("eve"))
	unknown := begin(t, New(Config{Ring: static(t, keyB)}), claims("eve"))
	for _, c := range []struct {
		name  string
		lines []string
		want  authz.Verdict
	}{
		{"good", []string{good}, authz.Allow},
		{"no field", nil, authz.Deny},
		{"other cookies", []string{"a=b; __Host-sluice_oidcx=1; x__Host-sluice_oidc=2"}, authz.Deny},
		// Browsers keep a name with such a space before it, and take it for one without a prefix: any host of the domain may set it.
		{"no-break space before the name", []string{"a=b; \u00a0" + good}, authz.Deny},
		{"wide space before the name", []string{"\u2003" + good}, authz.Deny},
		{"next line before the name", []string{"a=b;\u0085" + good}, authz.Deny},
		{"name in another case", []string{strings.Replace(good, "__Host", "__host", 1)}, authz.Deny},
		{"of another provider", []string{"__Host-sluice_oidc_corp=" + value}, authz.Deny},
		{"empty", []string{"__Host-sluice_oidc="}, authz.Challenge},
		{"quoted", []string{`__Host-sluice_oidc="` + value + `"`}, authz.Challenge},
		{"cut short", []string{good[:len(good)-1]}, authz.Challenge},
		{"longer", []string{good + "A"}, authz.Challenge},
		{"padded", []string{good + "="}, authz.Challenge},
		{"a line end in it", []string{good[:len(good)-4] + "\n" + good[len(good)-4:]}, authz.Challenge},
		{"by other keys of the same name", []string{foreign}, authz.Challenge},
		{"by unknown keys", []string{unknown}, authz.Challenge},
		{"endless", []string{"__Host-sluice_oidc=v1.a." + strings.Repeat("A", 1<<20)}, authz.Challenge},
		{"twice the same", []string{good + "; " + good}, authz.Allow},
		{"beside garbage", []string{"__Host-sluice_oidc=x; " + good + ";__Host-sluice_oidc=y"}, authz.Allow},
		{"two sessions", []string{good + "; " + other}, authz.Challenge},
		{"two sessions among garbage", []string{good + "; __Host-sluice_oidc=x; " + other}, authz.Challenge},
		{"two sessions and one again", []string{good + "; " + other + "; " + good}, authz.Challenge},
		{"five", []string{strings.Repeat(good+"; ", 5)}, authz.Challenge},
		{"two fields", []string{good, good}, authz.Challenge},
		{"two fields, none of ours in the first", []string{"a=b", good}, authz.Challenge},
	} {
		if id, v := k.Try("oidc", request(host, c.lines...)); v != c.want || (id != nil) != (v == authz.Allow) {
			t.Errorf("%s: %v, want %v", c.name, v, c.want)
		}
	}
	for _, h := range []string{"", "app.example.co", "app.example.com.", "evil.example.com"} {
		if _, v := k.Try("oidc", request(h, good)); v != authz.Challenge {
			t.Errorf("replayed to %q: %v", h, v)
		}
	}
	if _, v := k.Try("oidc/corp", request(host, "__Host-sluice_oidc_corp="+value)); v != authz.Challenge {
		t.Errorf("replayed to another provider: %v", v)
	}
	if _, v := k.Try("oidc", &authz.Request{}); v != authz.Deny {
		t.Errorf("TCP: %v", v)
	}
}

// Of two cookies of one login the later one counts, in any order.
func TestTheLaterOfOneLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Config{Ring: static(t, keyA)})
		first := begin(t, k, claims("ann"))
		time.Sleep(7 * time.Hour)
		id, _ := k.Try("oidc", request(host, first))
		second := pair(k.Renew(id, "oidc", request(host, first)))
		time.Sleep(30 * time.Minute)
		for _, line := range []string{first + "; " + second, second + "; " + first} {
			if v := try(k, line); v != authz.Allow {
				t.Error(v)
			}
			if renewed := k.Renew(id, "oidc", request(host, line)); renewed != "" {
				t.Error("the older one was taken: it is due to be renewed")
			}
		}
		time.Sleep(time.Hour)
		if v := try(k, first); v != authz.Challenge {
			t.Errorf("the older after its time: %v", v)
		}
		if v := try(k, first+"; "+second); v != authz.Allow {
			t.Errorf("both, when the older one is over: %v", v)
		}
	})
}

func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Config{Ring: static(t, keyA)})
		line := begin(t, k, claims("ann"))
		time.Sleep(8*time.Hour - time.Millisecond)
		if v := try(k, line); v != authz.Allow {
			t.Fatalf("before the idle time is over: %v", v)
		}
		time.Sleep(time.Millisecond)
		if v := try(k, line); v != authz.Challenge {
			t.Fatalf("idle: %v", v)
		}
		// Used every hour it lasts for a day, whatever is done.
		line = begin(t, k, claims("ann"))
		began := time.Now()
		var session *authz.Session
		for {
			id, v := k.Try("oidc", request(host, line))
			if v != authz.Allow {
				break
			}
			session = id.Session
			if set := k.Renew(id, "oidc", request(host, line)); set != "" {
				line = pair(set)
				if want := fmt.Sprintf("Max-Age=%d;", min(8*3600, int((24*time.Hour-time.Since(began)).Seconds()))); !strings.Contains(set, want) {
					t.Fatalf("%s, want %s", set, want)
				}
			} else if time.Now() != began {
				t.Fatal("not renewed after an hour")
			}
			time.Sleep(time.Hour)
		}
		if d := time.Since(began); d != 24*time.Hour {
			t.Errorf("over after %v", d)
		}
		if got := k.Ended(session, time.Now()); got != "session_expired" {
			t.Errorf("Ended: %q", got)
		}
		if got := k.Ended(session, time.Now().Add(-time.Second)); got != "" {
			t.Errorf("Ended a second before: %q", got)
		}
		// A shorter lifetime counts for sessions that have begun.
		line = begin(t, k, claims("ann"))
		short := New(Config{Ring: static(t, keyA), Lifetime: time.Hour, Idle: -1})
		time.Sleep(time.Hour)
		if v := try(short, line); v != authz.Challenge {
			t.Errorf("lifetime cut: %v", v)
		}
		c := claims("ann")
		c.Expires = time.Now().Add(time.Minute)
		line = begin(t, short, c)
		time.Sleep(time.Minute)
		if v := try(short, line); v != authz.Challenge {
			t.Errorf("an earlier end of the provider's: %v", v)
		}
	})
}

func TestRenewalIsDueAfterATenthOfTheIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Config{Ring: static(t, keyA)})
		req := request(host, begin(t, k, claims("ann")))
		id, _ := k.Try("oidc", req)
		time.Sleep(48*time.Minute - time.Millisecond)
		if k.Renew(id, "oidc", req) != "" {
			t.Error("before")
		}
		time.Sleep(time.Millisecond)
		set := k.Renew(id, "oidc", req)
		renewed, v := k.Try("oidc", request(host, pair(set)))
		if v != authz.Allow || *renewed.Session != *id.Session {
			t.Errorf("%v %+v, was %+v", v, renewed, id)
		}
		bob, _ := k.Try("oidc", request(host, begin(t, k, claims("bob"))))
		if k.Renew(bob, "oidc", req) != "" || k.Renew(nil, "oidc", req) != "" || k.Renew(&authz.Identity{}, "oidc", req) != "" {
			t.Error("renewed for another identity")
		}
		if err := k.Revoke(t.Context(), Revocation{Kind: SID, Value: id.Session.ID}); err != nil {
			t.Fatal(err)
		}
		if k.Renew(id, "oidc", req) != "" {
			t.Error("renewed a session that is ended")
		}
	})
}

// Replicas whose clocks differ by a minute agree; beyond that sessions from the future are refused.
func TestClocks(t *testing.T) {
	ahead := time.Duration(0)
	now := time.Now()
	other := New(Config{Ring: static(t, keyA), Now: func() time.Time { return now.Add(ahead) }})
	k := New(Config{Ring: static(t, keyA), Now: func() time.Time { return now }})
	for d, want := range map[time.Duration]authz.Verdict{
		-time.Minute: authz.Allow, 0: authz.Allow, time.Minute: authz.Allow, time.Minute + time.Second: authz.Challenge, time.Hour: authz.Challenge,
	} {
		ahead = d
		if v := try(k, begin(t, other, claims("ann"))); v != want {
			t.Errorf("from a replica whose clock is %v ahead: %v", d, v)
		}
	}
}

func TestTooLarge(t *testing.T) {
	k := New(Config{Ring: static(t, keyA)})
	many := claims("ann")
	for i := range 200 {
		many.Groups = append(many.Groups, fmt.Sprintf("a-group-of-many-%03d", i))
	}
	var large *TooLarge
	if _, err := k.Begin(host, many); !errors.As(err, &large) || large.What != "groups" || large.Count != 202 || large.Bytes < 4000 || large.Size <= large.Limit {
		t.Errorf("%+v", err)
	}
	wide := claims("ann")
	wide.Claims["notes"] = []string{strings.Repeat("x", 5000)}
	if _, err := k.Begin(host, wide); !errors.As(err, &large) || large.What != "claims" || large.Count != 3 {
		t.Errorf("%+v", err)
	}
	long := claims(strings.Repeat("n", 5000))
	if _, err := k.Begin(host, long); !errors.As(err, &large) || large.What != "names" {
		t.Errorf("%+v", err)
	}
	// What fits at the beginning fits when it is renewed, by a key with a longer name and for longer.
	fits := claims("ann")
	for {
		next := fits
		next.Email += "x"
		if _, err := k.Begin(host, next); err != nil {
			break
		}
		fits = next
	}
	line := begin(t, k, fits)
	renewing := New(Config{Ring: static(t, strings.Replace(keyB, "b ", "a-name-of-sixteen"[:16]+" ", 1)+keyA), Idle: 87600 * time.Hour, Lifetime: 87600 * time.Hour})
	id, v := renewing.Try("oidc", request(host, line))
	if v != authz.Allow {
		t.Fatal(v)
	}
	set := renewing.Renew(id, "oidc", request(host, line))
	if set == "" || len(set) > 4095 || len(set) < 4050 {
		t.Errorf("%d bytes", len(set))
	}
}

func TestBeginNeedsNames(t *testing.T) {
	k := New(Config{Ring: static(t, keyA)})
	for name, strip := range map[string]func(*Claims){
		"provider": func(c *Claims) { c.Provider = "" }, "issuer": func(c *Claims) { c.Issuer = "" },
		"subject": func(c *Claims) { c.Subject = "" }, "user": func(c *Claims) { c.User = "" },
	} {
		c := claims("ann")
		strip(&c)
		if _, err := k.Begin(host, c); err == nil {
			t.Errorf("no %s, and no error", name)
		}
	}
	if got := k.Clear("oidc/corp"); got != "__Host-sluice_oidc_corp=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax" {
		t.Error(got)
	}
}

func TestWithoutKeys(t *testing.T) {
	k := New(Config{Ring: NewRing("none")})
	if _, err := k.Begin(host, claims("ann")); !errors.Is(err, ErrNoKeys) {
		t.Error(err)
	}
	if v := try(k, "__Host-sluice_oidc=v1.a.AAAA"); v != authz.Unavailable {
		t.Error(v)
	}
	if v := try(k, "a=b"); v != authz.Deny {
		t.Error(v)
	}
}

func TestRememberedCookiesAllocateNothing(t *testing.T) {
	k := New(Config{Ring: static(t, keyA)})
	fields := &fixedFields{[]byte("a=b; " + begin(t, k, claims("ann")))}
	req := &authz.Request{Host: []byte(host), Fields: fields}
	id, _ := k.Try("oidc", req)
	if err := k.Revoke(t.Context(), Revocation{Kind: SID, Value: "another"}); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, v := k.Try("oidc", req); v != authz.Allow {
			t.Fatal(v)
		}
		if k.Renew(id, "oidc", req) != "" || k.Ended(id.Session, time.Now()) != "" {
			t.Fatal("renewed or ended")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type fixedFields struct{ line []byte }

func (f *fixedFields) Field(string) ([]byte, int) { return f.line, 1 }

func TestMemoryIsBounded(t *testing.T) {
	k := New(Config{Ring: static(t, keyA)})
	c := claims("ann")
	c.Claims = map[string][]string{"x": {strings.Repeat("x", 2000)}}
	for range 3500 {
		if v := try(k, begin(t, k, c)); v != authz.Allow {
			t.Fatal(v)
		}
	}
	sum := 0
	for _, o := range k.memory.known {
		sum += o.weigh()
	}
	if k.memory.weight != sum || sum > maxRememberedWeight || len(k.memory.known) < 1000 {
		t.Errorf("weight %d, of %d entries: %d", k.memory.weight, len(k.memory.known), sum)
	}
}

func BenchmarkTry(b *testing.B) {
	k := New(Config{Ring: static(b, keyA)})
	req := &authz.Request{Host: []byte(host), Fields: &fixedFields{[]byte("a=b; " + begin(b, k, claims("ann")))}}
	for _, c := range []struct {
		name   string
		forget bool
	}{{"remembered", false}, {"opened", true}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c.forget {
					clear(k.memory.known)
					k.memory.weight = 0
				}
				if _, v := k.Try("oidc", req); v != authz.Allow {
					b.Fatal(v)
				}
			}
		})
	}
}

func BenchmarkRenew(b *testing.B) {
	now := time.Now()
	k := New(Config{Ring: static(b, keyA), Now: func() time.Time { return now }})
	req := &authz.Request{Host: []byte(host), Fields: &fixedFields{[]byte(begin(b, k, claims("ann")))}}
	id, _ := k.Try("oidc", req)
	now = now.Add(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if k.Renew(id, "oidc", req) == "" {
			b.Fatal("not due")
		}
	}
}
