package doctor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/doctor"
)

// shipped reads a folder of deploy.
func shipped(t *testing.T, folder string) (files []doctor.File) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("../../deploy", folder), func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && doctor.Candidate(name) {
			var text []byte
			text, err = os.ReadFile(name)
			files = append(files, doctor.File{Name: filepath.ToSlash(strings.TrimPrefix(name, "../../")), Text: text})
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of %s, %v", len(files), folder, err)
	}
	return files
}

// TestShippedIsHealthy: there is nothing to find in what this repository deploys with, in each
// platform's folder and in all together.
func TestShippedIsHealthy(t *testing.T) {
	for folder, deployments := range map[string]int{"kubernetes": 1, "ecs": 2, "compose": 1, "systemd": 1, "docker": 1, "": 6} {
		r := doctor.Examine(shipped(t, folder), doctor.Options{})
		for _, f := range r.Findings {
			t.Errorf("deploy/%s: %s %s: %s", folder, f.Place(), f.Rule, f.Message)
		}
		if len(r.Stops) != deployments {
			t.Errorf("deploy/%s: the stops of %d deployments, want %d", folder, len(r.Stops), deployments)
		}
	}
}

// fault is one seeded into what is shipped: in a file, one text is replaced by another.
type fault struct {
	rule      string
	file      string // of deploy
	old, new  string // old stands there once
	balancer  string
	at        string // text of the line that the finding has to name; empty: any place
	inService string // added to the spec of the Service as well
	stays     bool   // no edit of lines puts it right
}

var faults = []fault{
	{rule: "unreadable", file: "kubernetes/service.yaml", old: "  selector: {app.kubernetes.io/name: sluice}\n  ports:\n  - {name: web, port: 80, targetPort: web}", new: "  selector: {app: {{ .Values.name }}}", stays: true},
	{rule: "unknown-file", file: "kubernetes/service.yaml", old: "apiVersion: v1\nkind: Service\nmetadata:\n  name: sluice\n", new: "apiVersion: v1\nknid: Service\nmetadata:\n  name: sluice\n", stays: true},
	{rule: "config-missing", file: "kubernetes/config.yaml", old: "name: sluice-config", new: "name: another", stays: true},
	{rule: "config-invalid", file: "kubernetes/config.yaml", old: "linger: 30s", new: "lingr: 30s", at: "lingr", stays: true},
	{rule: "config-invalid", file: "systemd/sluice.yaml", old: "timeout: 20s", new: "timeout: 20", at: "timeout: 20,", stays: true},
	{rule: "stop-limit", file: "kubernetes/deployment.yaml", old: "terminationGracePeriodSeconds: 90", new: "terminationGracePeriodSeconds: 60", at: "terminationGracePeriodSeconds"},
	{rule: "stop-limit", file: "kubernetes/deployment.yaml", old: "      terminationGracePeriodSeconds: 90 # platform.stop_timeout\n", new: ""},
	{rule: "stop-limit", file: "ecs/task-definition.json", old: `      "stopTimeout": 90,` + "\n", new: ""},
	{rule: "stop-limit", file: "ecs/task-definition.json", old: `"stopTimeout": 90`, new: `"stopTimeout": 30`, at: "stopTimeout"},
	{rule: "stop-limit", file: "compose/compose.yaml", old: "    stop_grace_period: 30s # the default is 10 s\n", new: ""},
	{rule: "stop-limit", file: "systemd/sluice.service", old: "TimeoutStopSec=40", new: "TimeoutStopSec=10", at: "TimeoutStopSec"},
	{rule: "stop-limit-fargate", file: "ecs/task-definition.json", old: `"stopTimeout": 90`, new: `"stopTimeout": 180`, at: "stopTimeout", stays: true},
	{rule: "stop-limit-unused", file: "kubernetes/deployment.yaml", old: "terminationGracePeriodSeconds: 90", new: "terminationGracePeriodSeconds: 600", at: "terminationGracePeriodSeconds", stays: true},
	{rule: "pre-stop", file: "kubernetes/deployment.yaml", old: "        ports:\n", new: "        lifecycle: {preStop: {sleep: {seconds: 10}}}\n        ports:\n", at: "preStop", stays: true},
	{rule: "pre-stop", file: "kubernetes/deployment.yaml", old: "        ports:\n", new: "        lifecycle:\n          preStop:\n            exec: {command: [sh, -c, 'sleep 15; true']}\n        ports:\n", at: "exec", stays: true},
	{rule: "fleet-id", file: "kubernetes/config.yaml", old: "    log: {format: json}", new: "    log: {format: json}\n    etcd: {endpoints: [\"etcd:2379\"]}\n    fleet: {enabled: true, id: edge, budget_wait: 10s}", stays: true},
	{rule: "fleet-budget", file: "kubernetes/config.yaml", old: "    log: {format: json}", new: "    log: {format: json}\n    etcd: {endpoints: [\"etcd:2379\"]}\n    fleet: {enabled: true, budget: 100%, budget_wait: 10s}", stays: true},
	{rule: "fleet-budget", file: "kubernetes/config.yaml", old: "    log: {format: json}", new: "    log: {format: json}\n    etcd: {endpoints: [\"etcd:2379\"]}\n    fleet: {enabled: true, budget: \"7\", budget_wait: 10s}", stays: true},
	{rule: "unit-stop-command", file: "systemd/sluice.service", old: "Restart=on-failure", new: "Restart=on-failure\nExecStop=/bin/kill -9 $MAINPID", at: "ExecStop", stays: true},
	{rule: "unit-stop-command", file: "systemd/sluice.service", old: "Restart=on-failure", new: "Restart=on-failure\nExecStop=/bin/sh -c 'kill -s KILL $MAINPID'", at: "ExecStop", stays: true},
	{rule: "unit-restart", file: "compose/compose.yaml", old: "    restart: unless-stopped", new: "    restart: \"no\"", at: "restart", stays: true},
	{rule: "liveness-exec", file: "ecs/task-definition.json", old: `"health", "--live"`, new: `"health"`, stays: true},
	{rule: "stop-signal", file: "docker/Dockerfile", old: "STOPSIGNAL SIGTERM", new: "STOPSIGNAL SIGQUIT", at: "STOPSIGNAL", stays: true},
	{rule: "stop-signal", file: "systemd/sluice.service", old: "Restart=on-failure", new: "Restart=on-failure\nKillSignal=SIGKILL", at: "KillSignal", stays: true},
	{rule: "stop-signal", file: "compose/compose.yaml", old: "    read_only: true", new: "    read_only: true\n    stop_signal: SIGHUP", at: "stop_signal", stays: true},
	{rule: "shell-start", file: "docker/Dockerfile", old: `ENTRYPOINT ["/sluice"]`, new: "ENTRYPOINT /sluice run", at: "ENTRYPOINT", stays: true},
	{rule: "shell-start", file: "kubernetes/deployment.yaml", old: "args: [run, -c, /etc/sluice/sluice.yaml]", new: "command: [/bin/sh, -c]\n        args: [/sluice run -c /etc/sluice/sluice.yaml]", stays: true},
	{rule: "lame-duck", file: "kubernetes/config.yaml", old: "lame_duck: {min: 5s, max: 10s}", new: "lame_duck: {min: 1s, max: 2s}", stays: true},
	{rule: "lame-duck", file: "systemd/sluice.yaml", old: "version: 1", new: "version: 1", balancer: "nlb", stays: true},
	{rule: "lame-duck-health", file: "systemd/sluice.yaml", old: "drain:", new: "lame_duck: {min: 7s}\ndrain:", balancer: "alb", stays: true},
	{rule: "readiness-missing", file: "kubernetes/deployment.yaml", old: "readinessProbe:", new: "x-readinessProbe:", stays: true},
	{rule: "liveness-missing", file: "kubernetes/deployment.yaml", old: "livenessProbe:", new: "x-livenessProbe:", stays: true},
	{rule: "startup-missing", file: "kubernetes/deployment.yaml", old: "startupProbe:", new: "x-startupProbe:", stays: true},
	{rule: "health-check-missing", file: "ecs/task-definition.json", old: `"healthCheck"`, new: `"x-healthCheck"`, stays: true},
	{rule: "health-check-missing", file: "compose/compose.yaml", old: "      test: [CMD, /sluice, health]", new: "      disable: true", stays: true},
	{rule: "health-check-missing", file: "docker/Dockerfile", old: `HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["/sluice", "health"]`, new: "HEALTHCHECK NONE", stays: true},
	{rule: "liveness-endpoint", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /livez, port: probes}", new: "httpGet: {path: /readyz, port: probes}", at: "/readyz"},
	{rule: "readiness-endpoint", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /servingz, port: probes}", new: "httpGet: {path: /livez, port: probes}", at: "/livez"},
	{rule: "readiness-endpoint", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /servingz, port: probes}", new: "httpGet: {path: /login, port: probes}", at: "/login"},
	{rule: "readiness-fallback", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /servingz, port: probes}", new: "httpGet: {path: /readyz, port: probes}",
		inService: "externalTrafficPolicy: Local"},
	{rule: "startup-endpoint", file: "kubernetes/deployment.yaml", old: "path: /startupz", new: "path: /livez", at: "/livez"},
	{rule: "probe-port", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /servingz, port: probes}", new: "httpGet: {path: /servingz, port: web}", at: "port: web"},
	{rule: "probe-port", file: "kubernetes/config.yaml", old: `probes: {address: ":9902"}`, new: `probes: {address: ":9999"}`},
	{rule: "probe-elsewhere", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /livez, port: probes}", new: "httpGet: {path: /livez, port: probes, scheme: HTTPS}", at: "HTTPS", stays: true},
	{rule: "probe-elsewhere", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /livez, port: probes}", new: "httpGet: {path: /livez, port: probes, host: 127.0.0.1}", at: "127.0.0.1", stays: true},
	{rule: "probe-tcp", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /servingz, port: probes}", new: "tcpSocket: {port: web}", stays: true},
	{rule: "probe-shell", file: "ecs/task-definition.json", old: `["CMD", "/sluice", "health", "--live"]`, new: `["CMD-SHELL", "curl -f http://localhost:9902/livez || exit 1"]`, stays: true},
	{rule: "probe-shell", file: "compose/compose.yaml", old: "test: [CMD, /sluice, health]", new: "test: wget -q -O- http://localhost:9902/readyz", stays: true},
	{rule: "probe-shell", file: "docker/Dockerfile", old: `CMD ["/sluice", "health"]`, new: "CMD /sluice health", at: "HEALTHCHECK", stays: true},
	{rule: "liveness-exec", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /livez, port: probes}", new: "exec: {command: [/sluice, health]}", stays: true},
	{rule: "liveness-endpoint", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /livez, port: probes}", new: "grpc: {port: 9902}", at: "grpc", stays: true},
	{rule: "readiness-exec", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /servingz, port: probes}", new: "exec: {command: [/sluice, health, --live]}", at: "exec", stays: true},
	{rule: "probe-slow", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /servingz, port: probes}\n          periodSeconds: 2\n          failureThreshold: 1", new: "httpGet: {path: /readyz, port: probes}", stays: true},
	{rule: "probe-timeout", file: "kubernetes/deployment.yaml", old: "httpGet: {path: /servingz, port: probes}\n", new: "httpGet: {path: /servingz, port: probes}\n          timeoutSeconds: 30\n", at: "timeoutSeconds", stays: true},
	{rule: "liveness-hasty", file: "kubernetes/deployment.yaml", old: "periodSeconds: 10\n          failureThreshold: 3", new: "periodSeconds: 2\n          failureThreshold: 1", stays: true},
	{rule: "startup-short", file: "kubernetes/deployment.yaml", old: "failureThreshold: 60", new: "failureThreshold: 5", stays: true},
	{rule: "rollout-recreate", file: "kubernetes/deployment.yaml", old: "type: RollingUpdate\n    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}", new: "type: Recreate", stays: true},
	{rule: "rollout-surge", file: "kubernetes/deployment.yaml", old: "{maxUnavailable: 0, maxSurge: 1}", new: "{maxUnavailable: 1, maxSurge: 1}", at: "maxUnavailable"},
	{rule: "rollout-surge", file: "kubernetes/deployment.yaml", old: "{maxUnavailable: 0, maxSurge: 1}", new: "{maxUnavailable: 1, maxSurge: 0}", at: "maxUnavailable", stays: true},
	{rule: "rollout-surge", file: "kubernetes/deployment.yaml", old: "{maxUnavailable: 0, maxSurge: 1}", new: "{maxSurge: 0}", at: "maxSurge", stays: true},
	{rule: "rollout-surge", file: "kubernetes/deployment.yaml", old: "{maxUnavailable: 0, maxSurge: 1}", new: "{maxUnavailable: 100%}", at: "maxUnavailable"},
	{rule: "rollout-surge", file: "ecs/service.json", old: `"minimumHealthyPercent": 100`, new: `"minimumHealthyPercent": 50`, at: "minimumHealthyPercent"},
	{rule: "rollout-surge", file: "ecs/service.json", old: `"maximumPercent": 200`, new: `"maximumPercent": 100`, at: "maximumPercent", stays: true},
	{rule: "replicas", file: "kubernetes/availability.yaml", old: "minReplicas: 2", new: "minReplicas: 1", at: "minReplicas", stays: true},
	{rule: "replicas", file: "ecs/service.json", old: `"desiredCount": 2`, new: `"desiredCount": 1`, at: "desiredCount", stays: true},
	{rule: "replicas-autoscaled", file: "kubernetes/deployment.yaml", old: "  minReadySeconds: 5\n", new: "  replicas: 3\n  minReadySeconds: 5\n", at: "replicas: 3", stays: true},
	{rule: "budget-missing", file: "kubernetes/availability.yaml", old: "  maxUnavailable: 1\n  selector:\n    matchLabels: {app.kubernetes.io/name: sluice}", new: "  maxUnavailable: 1\n  selector:\n    matchLabels: {app.kubernetes.io/name: other}", stays: true},
	{rule: "budget-blocks", file: "kubernetes/availability.yaml", old: "maxUnavailable: 1", new: "minAvailable: 2", at: "minAvailable", stays: true},
	{rule: "budget-blocks", file: "kubernetes/availability.yaml", old: "maxUnavailable: 1", new: "maxUnavailable: 0", at: "maxUnavailable", stays: true},
	{rule: "publish-not-ready", file: "kubernetes/service.yaml", old: "  ports:\n  - {name: web,", new: "  publishNotReadyAddresses: true\n  ports:\n  - {name: web,", stays: true},
	{rule: "idle-time", file: "systemd/sluice.yaml", old: "version: 1", new: "version: 1\ntimeouts: {idle: 5m}\nlame_duck: {min: 10s}", balancer: "gcp", stays: true},
	{rule: "idle-time", file: "ecs/sluice.yaml", old: "version: 1", new: "version: 1\ntimeouts: {idle: 30s}", stays: true},
	{rule: "deregistration", file: "ecs/target-group-attributes.json", old: `"Value": "80"`, new: `"Value": "20"`, at: "deregistration_delay", stays: true},
	{rule: "deregistration-default", file: "ecs/target-group-attributes.json", old: `"deregistration_delay.timeout_seconds"`, new: `"stickiness.enabled"`, stays: true},
	{rule: "health-codes", file: "ecs/target-group.json", old: `"HttpCode": "200"`, new: `"HttpCode": "200-399"`, at: "HttpCode", stays: true},
	{rule: "health-codes", file: "ecs/target-group.json", old: `"HttpCode": "200"`, new: `"HttpCode": "200,302"`, at: "HttpCode", stays: true},
	{rule: "probe-tcp", file: "ecs/target-group.json", old: `"HealthCheckProtocol": "HTTP"`, new: `"HealthCheckProtocol": "TCP"`, at: "HealthCheckProtocol", stays: true},
	{rule: "health-path", file: "ecs/target-group.json", old: `"/readyz"`, new: `"/livez"`, at: "HealthCheckPath", stays: true},
	{rule: "health-path", file: "ecs/target-group.json", old: `"HealthCheckPort": "9902"`, new: `"HealthCheckPort": "traffic-port"`, at: "traffic-port", stays: true},
	{rule: "port", file: "ecs/service.json", old: `"containerPort": 8080`, new: `"containerPort": 8081`, at: "8081", stays: true},
	{rule: "port", file: "kubernetes/service.yaml", old: "port: 80, targetPort: web", new: "port: 80, targetPort: 9000", at: "targetPort: 9000", stays: true},
	{rule: "port", file: "systemd/sluice-web.socket", old: "ListenStream=8080", new: "ListenStream=80", at: "ListenStream", stays: true},
	{rule: "admin-exposed", file: "compose/compose.yaml", old: `"127.0.0.1:9902:9902"`, new: `"9901:9901"`, at: "9901", stays: true},
	{rule: "admin-token", file: "systemd/sluice.yaml", old: `admin: {address: "unix:/run/sluice/admin.sock"}`, new: "admin: {address: 127.0.0.1:9901}", stays: true},
	{rule: "scrape-linger", file: "kubernetes/monitoring.yaml", old: "interval: 15s", new: "interval: 30s", stays: true},
	{rule: "descriptors", file: "systemd/sluice.service", old: "LimitNOFILE=131072", new: "LimitNOFILE=1024:4096", at: "LimitNOFILE", stays: true},
	{rule: "descriptors", file: "ecs/task-definition.json", old: `"hardLimit": 131072`, new: `"hardLimit": 1024`, at: "hardLimit", stays: true},
	{rule: "config-subpath", file: "kubernetes/deployment.yaml", old: "mountPath: /etc/sluice/policy}", new: "mountPath: /etc/sluice/policy/policy.yaml, subPath: policy.yaml}", at: "subPath", stays: true},
	{rule: "root", file: "kubernetes/deployment.yaml", old: "        runAsNonRoot: true\n        runAsUser: 65532\n", new: "", stays: true},
	{rule: "root", file: "docker/Dockerfile", old: "USER 65532:65532", new: "USER root", at: "USER", stays: true},
	{rule: "root", file: "systemd/sluice.service", old: "DynamicUser=yes\n", new: "", stays: true},
	{rule: "image-latest", file: "kubernetes/deployment.yaml", old: "image: sluiceproxy/sluice:0.1.0", new: "image: sluiceproxy/sluice:latest", at: "image", stays: true},
	{rule: "unit-type", file: "systemd/sluice.service", old: "Type=notify", new: "Type=exec", at: "Type"},
	{rule: "unit-kill-mode", file: "systemd/sluice.service", old: "Restart=on-failure", new: "Restart=on-failure\nKillMode=process", at: "KillMode", stays: true},
	{rule: "unit-kill-mode", file: "systemd/sluice.service", old: "Restart=on-failure", new: "Restart=on-failure\nKillMode=mixed", at: "KillMode", stays: true},
	{rule: "unit-exit", file: "systemd/sluice.service", old: "SuccessExitStatus=3\n", new: ""},
	{rule: "unit-restart", file: "systemd/sluice.service", old: "Restart=on-failure", new: "Restart=no", at: "Restart"},
	{rule: "unit-watchdog", file: "systemd/sluice.service", old: "WatchdogSec=30\n", new: ""},
	{rule: "unit-notify-access", file: "systemd/sluice.service", old: "NotifyAccess=main", new: "NotifyAccess=none", at: "NotifyAccess"},
	{rule: "unit-proc-subset", file: "systemd/sluice.service", old: "ProtectProc=invisible", new: "ProtectProc=invisible\nProcSubset=pid", at: "ProcSubset"},
	{rule: "unit-reload", file: "systemd/sluice.service", old: "ExecReload=/usr/local/bin/sluice reload -c /etc/sluice/sluice.yaml\n", new: "", stays: true},
	{rule: "socket-accept", file: "systemd/sluice-web.socket", old: "ListenStream=8080", new: "ListenStream=8080\nAccept=yes", at: "Accept", stays: true},
}

// seed returns the files of the fault's folder with the fault in them.
func (f fault) seed(t *testing.T) []doctor.File {
	t.Helper()
	folder, _, _ := strings.Cut(f.file, "/")
	files := shipped(t, folder)
	for i, file := range files {
		if f.inService != "" && file.Name == "deploy/kubernetes/service.yaml" {
			files[i].Text = []byte(strings.Replace(string(file.Text), "  ports:", "  "+f.inService+"\n  ports:", 1))
		}
	}
	for i, file := range files {
		if file.Name == "deploy/"+f.file {
			if n := strings.Count(string(file.Text), f.old); n != 1 {
				t.Fatalf("%q stands in %s %d times", f.old, f.file, n)
			}
			files[i].Text = []byte(strings.Replace(string(file.Text), f.old, f.new, 1))
			return files
		}
	}
	t.Fatalf("no file %s", f.file)
	return nil
}

// also is what one fault is beside itself.
var also = map[string][]string{
	"unreadable":             {"budget-missing"},
	"probe-slow":             {"readiness-fallback"},
	"idle-time":              {"lame-duck", "deregistration-default", "lame-duck-health"},
	"lame-duck":              {"lame-duck-health", "idle-time", "deregistration-default"},
	"lame-duck-health":       {"deregistration-default"},
	"config-missing":         {"stop-limit-unused", "scrape-linger", "admin-token", "stop-limit"},
	"config-invalid":         {},
	"shell-start":            {"config-missing", "stop-limit-unused", "scrape-linger"},
	"deregistration-default": {},
	"readiness-fallback":     {},
	"config-subpath":         {},
}

// TestSeededFaults: each fault is found, at its place, and nothing else is.
func TestSeededFaults(t *testing.T) {
	for i, f := range faults {
		t.Run(fmt.Sprintf("%s-%d", f.rule, i), func(t *testing.T) {
			files := f.seed(t)
			r := doctor.Examine(files, doctor.Options{Balancer: f.balancer})
			var found []doctor.Finding
			for _, g := range r.Findings {
				switch {
				case g.Rule == f.rule:
					found = append(found, g)
				case !slices.Contains(also[f.rule], g.Rule):
					t.Errorf("found besides: %s %s %s", g.Place(), g.Rule, g.Message)
				}
			}
			if len(found) == 0 {
				t.Fatal("not found")
			}
			for _, g := range found {
				if g.Message == "" || g.Remedy == "" {
					t.Errorf("says too little: %+v", g)
				}
				if f.at != "" && !strings.Contains(line(files, g), f.at) {
					t.Errorf("%s is %q, want the line with %q", g.Place(), line(files, g), f.at)
				}
			}
			patched := apply(t, files, r.Patch())
			left := slices.ContainsFunc(doctor.Examine(patched, doctor.Options{Balancer: f.balancer}).Findings, func(g doctor.Finding) bool { return g.Rule == f.rule })
			if left != f.stays {
				t.Errorf("after its patch it is found: %v, want %v\n%s", left, f.stays, r.Patch())
			}
		})
	}
}

// TestEveryRuleIsSeeded, so that none is one that never fires.
func TestEveryRuleIsSeeded(t *testing.T) {
	for _, rule := range doctor.Rules() {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.rule == rule.ID }) {
			t.Errorf("no fault is seeded for %s", rule.ID)
		}
	}
}

func line(files []doctor.File, f doctor.Finding) string {
	for _, file := range files {
		if lines := strings.Split(string(file.Text), "\n"); file.Name == f.File && f.Line > 0 && f.Line <= len(lines) {
			return lines[f.Line-1]
		}
	}
	return ""
}

// apply is what `patch -p0` does, without its tolerance: every line of context has to be there.
func apply(t *testing.T, files []doctor.File, patch string) []doctor.File {
	t.Helper()
	files = slices.Clone(files)
	balanced(t, files, patch)
	var lines []string
	at, file := 0, -1
	end := func() {
		if file >= 0 {
			files[file].Text = []byte(strings.Join(lines, "\n"))
		}
	}
	for _, l := range strings.Split(strings.TrimSuffix(patch, "\n"), "\n") {
		switch name, isFile := strings.CutPrefix(l, "--- "); {
		case l == "" || strings.HasPrefix(l, "+++ ") || l[0] == '\\':
		case isFile:
			end()
			file = slices.IndexFunc(files, func(f doctor.File) bool { return f.Name == strings.TrimSuffix(name, "\t") })
			lines = strings.Split(string(files[file].Text), "\n")
		case strings.HasPrefix(l, "@@"):
			var err error
			_, after, _ := strings.Cut(l, "+")
			start, _, _ := strings.Cut(after, ",")
			if at, err = strconv.Atoi(start); err != nil {
				t.Fatal(err)
			}
			at--
		case l[0] == '+':
			lines = slices.Insert(lines, at, l[1:])
			at++
		case lines[at] != l[1:]:
			t.Fatalf("line %d of %s is %q, and the patch has %q", at+1, files[file].Name, lines[at], l[1:])
		case l[0] == '-':
			lines = slices.Delete(lines, at, at+1)
		default:
			at++
		}
	}
	end()
	return files
}
