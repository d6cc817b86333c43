package config

import (
	"strings"
	"testing"
)

func TestProviders(t *testing.T) {
	const tls = "version: 1\nlisteners: [{name: web, address: \":8443\", tls: {dir: /c}}]\npolicy: {dir: p, state_dir: /s}\n"
	const good = `{issuer: "https://idp.test", client_id: c}`
	c := mustLoad(t, Source{Name: "c", Text: []byte(tls + "authenticate: {oidc: [" + good + `, {name: corp, issuer: "http://127.0.0.1:5556/dex", client_id: c}]}` + "\n")})
	if len(c.Authenticate.OIDC) != 2 || !c.Sessions.On() || c.Sessions.KeyFile != "/s/session.keys" {
		t.Errorf("%+v %+v", c.Authenticate.OIDC, c.Sessions)
	}
	for list, want := range map[string]string{
		good + ", " + good:                                              `authenticate.oidc[1].name: "" is authenticate.oidc[0] too`,
		`{client_id: c}`:                                                "authenticate.oidc[0].issuer: is required",
		`{issuer: "https://idp.test"}`:                                  "authenticate.oidc[0].client_id: is required",
		`{issuer: "http://idp.test", client_id: c}`:                     "by https only",
		`{issuer: "https://u:p@idp", client_id: c}`:                     "is no address",
		`{name: A/b, issuer: "https://x", client_id: c}`:                "is no name of a provider",
		`{issuer: "https://x", client_id: c, algorithms: [HS256]}`:      `algorithms[0]: "HS256" is not one of`,
		`{issuer: "https://x", client_id: c, algorithms: [none]}`:       `algorithms[0]: "none" is not one of`,
		`{issuer: "https://x", client_id: c, scopes: ["openid email"]}`: "is not one scope",
		`{issuer: "https://x", client_id: c, secret: x}`:                `unknown key "secret"`,
	} {
		_, err := Load(Source{Name: "c", Text: []byte(tls + "authenticate: {oidc: [" + list + "]}\n")})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "c:4:") != 1 {
			t.Errorf("%s: %v, want %s", list, err, want)
		}
	}
	plain := strings.Replace(tls, ", tls: {dir: /c}", "", 1) + "authenticate: {oidc: [" + good + "]}\n"
	if _, err := Load(Source{Name: "c", Text: []byte(plain)}); err == nil || !strings.Contains(err.Error(), "logins need HTTPS") {
		t.Errorf("without TLS: %v", err)
	}
	mustLoad(t, Source{Name: "c", Text: []byte(plain + "trusted_proxies: [10.0.0.0/8]\n")})
}
