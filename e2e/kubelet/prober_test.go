package kubelet

import (
	"bytes"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubernetes/pkg/probe"
	probeexec "k8s.io/kubernetes/pkg/probe/exec"
	probegrpc "k8s.io/kubernetes/pkg/probe/grpc"
	probehttp "k8s.io/kubernetes/pkg/probe/http"
	"k8s.io/utils/exec"
	"sigs.k8s.io/yaml"
)

// prober asks one process, as the kubelet asks a container.
type prober struct {
	*proxy
	container corev1.Container
	port      int
	http      probehttp.Prober
	grpc      probegrpc.Prober
	exec      probeexec.Prober
}

func newProber(t *testing.T, p *proxy) *prober {
	t.Helper()
	_, port, err := net.SplitHostPort(p.probes)
	if err != nil {
		t.Fatal(err)
	}
	pr := &prober{proxy: p, container: manifest(t), http: probehttp.New(false), grpc: probegrpc.New(), exec: probeexec.New()} // false: as the kubelet
	if pr.port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	for i := range pr.container.Ports { // the port of this process stands for the one of the manifest
		if pr.container.Ports[i].Name == "probes" {
			pr.container.Ports[i].ContainerPort = int32(pr.port)
		}
	}
	return pr
}

// manifest is the container of deploy/kubernetes.
func manifest(t *testing.T) corev1.Container {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict(text, &d); err != nil {
		t.Fatal(err)
	}
	return d.Spec.Template.Spec.Containers[0]
}

// limit is the timeout of one probe: the kubelet's default is 1 s, and this machine may be busy.
const limit = 10 * time.Second

// get asks by HTTP as an httpGet says.
func (p *prober) get(t *testing.T, action *corev1.HTTPGetAction) probe.Result {
	t.Helper()
	req, err := probehttp.NewRequestForHTTPGetAction(action, &p.container, "127.0.0.1", "probe")
	if err != nil {
		t.Fatal(err)
	}
	r, out, err := p.http.Probe(req, limit)
	if err != nil {
		t.Fatalf("%s: %v %s", action.Path, err, out)
	}
	return r
}

// path asks the probes listener for a path.
func (p *prober) path(t *testing.T, path string) probe.Result {
	t.Helper()
	return p.get(t, &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("probes")})
}

// verdict asks what a column of the documentation names.
func (p *prober) verdict(t *testing.T, column string) probe.Result {
	t.Helper()
	switch kind, what, _ := strings.Cut(column, " "); kind {
	case "startupProbe":
		return p.get(t, p.container.StartupProbe.HTTPGet)
	case "readinessProbe":
		return p.get(t, p.container.ReadinessProbe.HTTPGet)
	case "livenessProbe":
		return p.get(t, p.container.LivenessProbe.HTTPGet)
	case "gRPC":
		r, out, err := p.grpc.Probe("127.0.0.1", what, p.port, limit)
		if err != nil {
			t.Fatalf("%s: %v %s", column, err, out)
		}
		return r
	case "sluice":
		cmd := exec.New().Command(binary, append(strings.Fields(what), "--probes-address", p.probes)...)
		r, out, err := p.exec.Probe(cmd)
		if err != nil {
			t.Fatalf("%s: %v %s", column, err, out)
		}
		return r
	default:
		return p.path(t, column)
	}
}

// documented reads the table of docs/platforms.md: the verdict in each state by column.
func documented(t *testing.T) (columns []string, verdicts map[string][]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/platforms.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := bytes.Cut(text, []byte("**What the kubelet hears.**"))
	if !found {
		t.Fatal("docs/platforms.md does not say what the kubelet hears")
	}
	verdicts = map[string][]string{}
	cell := regexp.MustCompile("`")
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") && len(verdicts) > 0 {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cell.ReplaceAllString(cells[i], ""))
		}
		switch {
		case len(cells) < 5 || strings.HasPrefix(cells[0], "---"):
		case columns == nil:
			columns = cells[1:]
		default:
			verdicts[cells[0]] = cells[1:]
		}
	}
	if len(columns) < 8 || len(verdicts) != 5 {
		t.Fatalf("the table has %d columns and %d states", len(columns), len(verdicts))
	}
	return columns, verdicts
}

// TestVerdictsAreThoseOfTheDocs: by HTTP as the manifest says, by HTTP at the other paths, by gRPC and by exec, in each state.
func TestVerdictsAreThoseOfTheDocs(t *testing.T) {
	p := newProber(t, start(t))
	columns, verdicts := documented(t)
	hears := func(state string) {
		t.Helper()
		want := verdicts[state]
		if want == nil {
			t.Fatalf("docs/platforms.md has no row %q", state)
		}
		for i, column := range columns {
			got := map[probe.Result]string{probe.Success: "yes", probe.Failure: "no"}[p.verdict(t, column)]
			if got != want[i] {
				t.Errorf("%s: %s is %q, and the docs say %q", state, column, got, want[i])
			}
		}
		p.noRedirect(t, state)
	}
	hears("starting, without a policy")
	p.allow(t, p.upstream(t).URL)
	p.await(t, "serving")
	hears("serving")
	done := p.hold(t)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.await(t, "lame duck")
	hears("lame duck")
	p.sluice(t, "drain", "--ack")
	p.await(t, "draining")
	hears("draining")
	close(p.release)
	if err := <-done; err != nil {
		t.Errorf("the request that was under way: %v", err)
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("the process goes on")
	}
	for i, column := range columns {
		if got := p.verdict(t, column); got != probe.Failure || verdicts["gone"][i] != "no" {
			t.Errorf("gone: %s is %q, and the docs say %q", column, got, verdicts["gone"][i])
		}
	}
}

// noRedirect: whatever path is asked for, tidy or not, there or not, the verdict is never that of a redirect. The prober calls
// one to another host a warning, which the kubelet takes for a success, and follows one to the same host.
func (p *prober) noRedirect(t *testing.T, state string) {
	t.Helper()
	for path, known := range map[string]bool{"/livez": true, "/livez?verbose": true, "/livez/": false, "//livez": false, "/./livez": false, "/x/../livez": false,
		"/LIVEZ": false, "/": false, "/login": false, "/oauth2/start": false, "//login.example.com/": false} {
		got := p.path(t, path)
		if known && got != probe.Success || !known && got != probe.Failure {
			t.Errorf("%s: %s is %q", state, path, got)
		}
	}
}

// TestALoginIsNoProbe: what a login answers on a traffic listener is a success to the kubelet, so a probe must not ask there;
// and on the probes listener nothing of the upstream's can be had.
func TestALoginIsNoProbe(t *testing.T) {
	p := newProber(t, start(t))
	p.allow(t, p.upstream(t).URL)
	p.await(t, "serving")
	_, port, err := net.SplitHostPort(p.web)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]probe.Result{
		"/away":    probe.Warning, // 302 to another host: the kubelet counts a warning as a success
		"/here":    probe.Success, // 302 to the login page of the same host, followed
		"/private": probe.Failure, // 401
		"/readyz":  probe.Failure, // the upstream's 404
	} {
		if got := p.get(t, &corev1.HTTPGetAction{Path: path, Port: intstr.Parse(port)}); got != want {
			t.Errorf("traffic listener, %s: %q, want %q", path, got, want)
		}
		if path != "/readyz" {
			if got := p.path(t, path); got != probe.Failure {
				t.Errorf("probes listener, %s: %q", path, got)
			}
		}
	}
	p.noRedirect(t, "serving")
}
