package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// redirects says whether codes ("200", "200,301", "200-399") have one between 300 and 399.
func redirects(codes string) bool {
	for _, part := range strings.Split(codes, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		from, err := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err == nil && err2 == nil && from <= 399 && to >= 300 {
			return true
		}
	}
	return false
}

var trafficRules = []Rule{
	{ID: "idle-time", Severity: Failure, Title: "an idle connection is closed here before the balancer closes it",
		Why: "The balancer sends a request on a connection that is just being closed: its client gets 502. `timeouts.idle` has to be longer than the balancer's own.", check: func(d *deployment, r *reporter) {
			for _, b := range d.balancers {
				if idle := b.idleTime(); d.cfg != nil && idle > 0 && d.cfg.Timeouts.Idle > 0 && d.cfg.Timeouts.Idle <= idle {
					r.found(d.cfgAt, "set timeouts.idle to "+(idle+20*time.Second).String(), "timeouts.idle is %s, and the %s keeps idle connections for %s", d.cfg.Timeouts.Idle, b.kind, idle)
				}
			}
		}},
	{ID: "deregistration", Severity: Failure, Title: "the balancer cuts before the drain does",
		Why: "When its deregistration delay is over, the balancer closes the connections of the target, whatever is in flight on them.", check: func(d *deployment, r *reporter) {
			for _, b := range d.balancers {
				if have := b.deregistration(); d.cfg != nil && b.deregister.ok && have < d.cfg.Drain.Timeout {
					r.found(b.deregister.at, "set it to "+secs(d.cfg.LameDuck.Max+d.cfg.Drain.Timeout)+" (lame_duck.max and drain.timeout)", "the deregistration delay is %s, and drain.timeout is %s", have, d.cfg.Drain.Timeout)
				}
			}
		}},
	{ID: "deregistration-default", Severity: Note, Title: "the deregistration delay is the default of 300 s",
		Why: "Where the platform waits for it before it stops a task, each replica of a rollout takes five minutes.", check: func(d *deployment, r *reporter) {
			for _, b := range d.balancers {
				if d.cfg != nil && (b.kind == alb || b.kind == nlb) && !b.deregister.ok {
					r.found(b.at, "set deregistration_delay.timeout_seconds to "+secs(d.cfg.LameDuck.Max+d.cfg.Drain.Timeout), "no deregistration delay of the %s is shown; its default is %s", b.kind, known[b.kind].deregister)
				}
			}
		}},
	{ID: "health-codes", Severity: Failure, Title: "a balancer takes a redirect for health",
		Why: "A login page's redirect, or any other, then makes a target healthy that is not.", check: func(d *deployment, r *reporter) {
			for _, b := range d.balancers {
				if redirects(b.matcher.text) {
					r.found(b.matcher.at, "set it to 200", "the %s's health check takes %s", b.kind, b.matcher.text)
				}
			}
		}},
	{ID: "health-path", Severity: Failure, Title: "a balancer's health check asks something else than readiness",
		Why: "/livez is 200 all through a drain, and a path of the traffic listeners answers what the policy says.", check: func(d *deployment, r *reporter) {
			for _, b := range d.balancers {
				if b.path.text != "" && !slices.Contains([]string{"/readyz", "/servingz"}, b.path.text) {
					r.found(b.path.at, "ask /readyz at the probes listener", "the %s's health check asks %s", b.kind, b.path.text)
				} else if want := d.probesPort(); b.path.text != "" && b.port.text != "" && want != "" && b.port.text != want && !d.guessed {
					r.found(b.port.at, "ask at port "+want+" (probes.address)", "the %s's health check asks %s at %s, where the traffic listeners are or nobody is", b.kind, b.path.text, b.port.text)
				}
			}
		}},
	{ID: "port", Severity: Failure, Title: "traffic is sent to a port where nothing listens",
		Why: "Every connection is refused.", check: func(d *deployment, r *reporter) {
			if d.cfg == nil || d.guessed {
				return
			}
			open := append(d.dataPorts(), d.probesPort(), d.adminPort())
			for _, p := range d.ports {
				if asked := strconv.FormatInt(p.n, 10); !p.ok || !slices.Contains(open, asked) {
					if !p.ok {
						asked = "of a name that the container does not declare"
					}
					r.found(p.at, "listeners are at "+strings.Join(d.dataPorts(), ", "), "no listener is at port %s", asked)
				}
			}
		}},
	{ID: "admin-exposed", Severity: Failure, Title: "the admin listener is made reachable from elsewhere",
		Why: "Whoever reaches it can drain, close connections and read who is connected.", check: func(d *deployment, r *reporter) {
			for _, p := range d.exposed {
				if admin := d.adminPort(); admin != "" && p.ok && strconv.FormatInt(p.n, 10) == admin {
					r.found(p.at, "remove it; use `kubectl exec`, or a unix socket (admin.address: unix:/run/sluice/admin.sock)", "port %s is the admin listener's", admin)
				}
			}
		}},
	{ID: "admin-token", Severity: Warning, Title: "the admin listener has no token where others can reach its loopback",
		Why: "On a host, or in a pod with the host's network, every local user reads who is connected and why.", check: func(d *deployment, r *reporter) {
			shared := d.platform == systemd || d.pod.hostNetwork.file != ""
			if shared && d.adminPort() != "" && d.cfg.Admin.TokenFile == "" {
				r.found(d.cfgAt, "set admin.token_file, or admin.address: unix:/run/sluice/admin.sock", "admin.address is %s, without admin.token_file", d.cfg.Admin.Address)
			}
		}},
	{ID: "scrape-linger", Severity: Warning, Title: "a drain ends before its last sample is scraped",
		Why: "Prometheus looks each interval. What is counted after its last look (what was cut, how long it took) is never seen, unless the process lingers for two intervals.", check: func(d *deployment, r *reporter) {
			for _, s := range d.scrapes {
				if d.cfg != nil && d.cfg.Drain.Linger < 2*s.d {
					r.found(d.cfgAt, fmt.Sprintf("set drain.linger to %s (it ends with the scrape), and platform.stop_timeout to what that needs", 2*s.d), "drain.linger is %s, and scrapes come each %s", d.cfg.Drain.Linger, s.d)
					return
				}
			}
		}},
}
