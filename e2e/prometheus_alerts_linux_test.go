package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestAlertsFireAndEnd: what can go wrong is made to, one after the other, in front of a real Prometheus with the rules of
// deploy; each alert fires while it lasts and ends when it is over. Then every query of the dashboard, and every metric that
// the rules ask for, has data of that.
func TestAlertsFireAndEnd(t *testing.T) {
	p := newPrometheus(t, shortRules(t))
	up := newUpstream(t)
	for _, s := range []struct {
		name string
		run  func(*testing.T, *prometheus, *upstream)
	}{
		{"policy", policyTroubles}, {"upstream", upstreamTroubles}, {"certificates", certificateTroubles}, {"log", logTroubles},
		{"generations", generationTroubles}, {"receipt", lastStop},
	} {
		if !t.Run(s.name, func(t *testing.T) { s.run(t, p, up) }) {
			return // the rest would only say the same of data that is missing
		}
	}
	t.Run("dashboard and rules have data", func(t *testing.T) { queriesHaveData(t, p) })
}

// watched starts a proxy that Prometheus scrapes until the end of the test.
func watched(t *testing.T, p *prometheus, name string, start func() *sluice) *sluice {
	t.Helper()
	s := start()
	p.scrape(t, name, s.probes)
	t.Cleanup(func() { p.forget(t, name) })
	return s
}

// policyTroubles: none, a faulty one, a source that is gone, a reload that is refused.
func policyTroubles(t *testing.T, p *prometheus, up *upstream) {
	s := watched(t, p, "policy", func() *sluice { return run(t, setup{}) })
	policy, good := s.file("policy"), policyFor(up.web, up.raw, "v1")
	for _, alert := range []string{"SluicePolicyNotSynced", "SluiceNotReady"} {
		p.fires(t, alert, "instance", "policy")
	}
	keep(t, s, "notready")
	write(t, filepath.Join(policy, "main.yaml"), good)
	for _, alert := range []string{"SluicePolicyNotSynced", "SluiceNotReady"} {
		p.ends(t, alert, "instance", "policy")
	}

	write(t, filepath.Join(policy, "main.yaml"), strings.Replace(good, "cluster: app", "cluster: application", 1))
	p.fires(t, "SluicePolicyRejected", "instance", "policy")
	if out, code := s.cli(t, "reload", "-c", s.file("sluice.yaml")); code != 1 {
		t.Errorf("a reload of a faulty policy: exit %d: %s", code, out)
	}
	p.fires(t, "SluiceReloadFailed", "instance", "policy")
	write(t, filepath.Join(policy, "main.yaml"), good)
	p.ends(t, "SluicePolicyRejected", "instance", "policy")
	if out, code := s.cli(t, "reload", "-c", s.file("sluice.yaml")); code != 0 {
		t.Errorf("a reload of a good policy: exit %d: %s", code, out)
	}
	p.ends(t, "SluiceReloadFailed", "instance", "policy")

	if err := os.Rename(policy, policy+".away"); err != nil {
		t.Fatal(err)
	}
	p.fires(t, "SluicePolicyStale", "instance", "policy")
	if err := os.Rename(policy+".away", policy); err != nil {
		t.Fatal(err)
	}
	p.ends(t, "SluicePolicyStale", "instance", "policy")
}

// upstreamTroubles: a cluster that closes every connection once it has read the request.
func upstreamTroubles(t *testing.T, p *prometheus, up *upstream) {
	broken := closesAlways(t)
	policy := strings.Replace(policyFor(up.web, up.raw, "v1"), "routes:\n", fmt.Sprintf("  broken: {endpoints: [%q]}\nroutes:\n"+
		"- {name: broken, path: {prefix: /broken}, cluster: broken, policy: [{allow: {and: [{accept: true}]}}]}\n", broken), 1)
	s := watched(t, p, "upstream", func() *sluice { return serve(t, up, setup{policy: policy}) })
	traffic := func(paths ...string) {
		for _, path := range paths {
			if _, err := once(s.web, "POST "+path+" HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 2\r\n\r\nhi"); err != nil {
				t.Errorf("POST %s: %v", path, err)
			}
		}
	}
	for alert, by := range map[string][2]string{"SluiceUpstreamFailures": {"cluster", "broken"}, "SluiceErrorBudgetBurn": {"job", "sluice"}} {
		p.holds(t, alert+" fires", func() bool {
			traffic("/", "/echo", "/broken")
			return p.firing(t, alert, by[0], by[1])
		})
	}
	p.holds(t, "both end", func() bool {
		traffic("/", "/echo", "/private")
		return !p.firing(t, "SluiceUpstreamFailures", "cluster", "broken") && !p.firing(t, "SluiceErrorBudgetBurn", "job", "sluice")
	})
}

// closesAlways is an upstream that reads a request and closes; it ends with the test.
func closesAlways(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { // ends with ln
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = c.Read(make([]byte, 4096))
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return ln.Addr().String()
}

// certificateTroubles: one that expires tomorrow, and then one that is renewed.
func certificateTroubles(t *testing.T, p *prometheus, up *upstream) {
	files := t.TempDir()
	write(t, filepath.Join(files, "ca.pem"), newAuthority(t, "clients").text())
	c, dir := secure(t, fmt.Sprintf(", client_certificates: {mode: request, ca_file: %q}", filepath.Join(files, "ca.pem")))
	newPair("app.example.com", 24*time.Hour).put(t, dir, "edge")
	s := watched(t, p, "certificates", func() *sluice { return serve(t, up, setup{ofWeb: c.ofWeb, ofRaw: c.ofRaw}) })
	for _, alert := range []string{"SluiceCertificateExpires", "SluiceCertificatesRefused"} {
		p.fires(t, alert, "instance", "certificates")
	}
	keep(t, s, "expires")
	renewed := newPair("app.example.com", 1000*time.Hour)
	renewed.put(t, dir, "edge")
	for _, alert := range []string{"SluiceCertificateExpires", "SluiceCertificatesRefused"} {
		p.ends(t, alert, "instance", "certificates")
	}
	getOver(t, s.web, renewed.clients(), get("/"))
}

// logTroubles: an access log that nobody reads.
func logTroubles(t *testing.T, p *prometheus, up *upstream) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() }) // open to the end: nobody reads, but nobody has hung up either
	s := watched(t, p, "log", func() *sluice {
		s := &sluice{dir: prepare(t, setup{policy: policyFor(up.web, up.raw, "v1")})}
		cmd := exec.Command(built.sluice, "run", "--config", s.file("sluice.yaml"))
		cmd.Stdout = w
		s.process = launchLogged(t, cmd, nil, false)
		_ = w.Close()
		s.web, s.probes = s.listening(t, "listener", "web"), s.listening(t, "component", "probes")
		s.await(t, "serving", msg("serving"))
		return s
	})
	c, err := connect(s.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 6000 {
		if a, err := c.ask(get(fmt.Sprintf("/%0600d", i))); err != nil || a.status != 200 {
			t.Fatalf("request %d: %d %v", i, a.status, err)
		}
	}
	p.fires(t, "SluiceLogLinesLost", "instance", "log")
	p.ends(t, "SluiceLogLinesLost", "instance", "log")
}

// generationTroubles: a process that was handed over is killed while it drains; the next upgrade forgets it.
func generationTroubles(t *testing.T, p *prometheus, up *upstream) {
	h := serveHouse(t, up, setup{drain: "{timeout: 25s, idle_close: 500ms, flush: 1s}", extra: quick + "\nplatform: {stop_timeout: 60s}"})
	watched(t, p, "line", func() *sluice { return h.sluice })
	w, err := connect(h.raw, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	echo(t, w, "held by the first")
	first, _ := h.current(t)
	if out, code := h.upgrade(t); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	p.holds(t, "the first is seen to drain", func() bool {
		return len(p.ask(t, `sluice_generation_connections_remaining{generation="1", class="tunnel"} == 1`)) == 1
	})
	keep(t, h.sluice, "generations")
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.fires(t, "SluiceGenerationGone", "instance", "line")
	keep(t, h.sluice, "gone")
	if out, code := h.upgrade(t); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	p.ends(t, "SluiceGenerationGone", "instance", "line")
	h.stop(t)
}

// lastStop: what a stop cut is told by the start that comes next, and for a while only.
func lastStop(t *testing.T, p *prometheus, up *upstream) {
	s := serve(t, up, setup{drain: "{timeout: 4s, idle_close: 300ms, flush: 1s}"})
	begin(t, s.web, get("/slow?d=40s"))
	eventually(t, "the request is upstream", func() bool { return len(up.log("/slow")) > 0 })
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 3 {
		t.Errorf("exit code %d", code)
	}
	again := &sluice{dir: s.dir}
	again.process = launch(t, nil, built.sluice, "run", "--config", s.file("sluice.yaml"), "--receipt", s.file("receipt.json"))
	again.probes = again.listening(t, "component", "probes")
	watched(t, p, "again", func() *sluice { return again })
	for _, alert := range []string{"SluiceDrainCut", "SluiceRequestsInterrupted"} {
		p.holds(t, alert+" was seen", func() bool {
			return len(p.over(t, fmt.Sprintf(`ALERTS{alertname=%q, alertstate="firing", instance="again"}`, alert))) > 0
		})
		p.ends(t, alert, "instance", "again")
	}
	// A drain that lasts, for what is only there meanwhile.
	begin(t, again.listening(t, "listener", "web"), get("/slow?d=40s"))
	again.signal(t, syscall.SIGTERM)
	again.exit(t, patience)
}

// keep prints what the product says of a state, for the runbooks.
func keep(t *testing.T, s *sluice, state string) {
	t.Helper()
	out, _ := s.cli(t, "status", "-c", s.file("sluice.yaml"))
	t.Logf("%s:\n%s", state, out)
}

// queriesHaveData: at some time of the run each query gave something.
func queriesHaveData(t *testing.T, p *prometheus) {
	d := readDashboard(t)
	queries := d.queries("10s", fmt.Sprintf("%ds", int(time.Since(p.began).Seconds())))
	for _, m := range recordPattern.FindAllStringSubmatch(read(t, rulesFile), -1) {
		queries["record "+m[1]] = m[1]
	}
	for _, a := range alerts(t) {
		for _, m := range queryMetric.FindAllStringSubmatch(queryRecorded.ReplaceAllString(a.expr, ""), -1) {
			queries[a.name+" asks for "+m[0]] = m[0]
		}
	}
	for where, query := range queries {
		if len(p.over(t, query)) == 0 {
			t.Errorf("%s has no data: %s", where, query)
		}
	}
	t.Logf("%d queries have data", len(queries))
}
