package doctor_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/doctor"
)

// written is a set of files as operators write them, "-- name --" before each, and what there
// is to find in it: "rule line", or "rule" for any line. What is noted only is not compared.
type written struct {
	name  string
	files string
	want  []string
	crlf  bool
	open  bool // the last line has no end
}

const probesOf = `
        startupProbe: {httpGet: {path: /startupz, port: probes}, periodSeconds: 2, failureThreshold: 60}
        readinessProbe: {httpGet: {path: /servingz, port: probes}, periodSeconds: 2, failureThreshold: 1}
        livenessProbe: {httpGet: {path: /livez, port: probes}, periodSeconds: 10}
        ports: [{name: web, containerPort: 8080}, {name: probes, containerPort: 9902}]
        securityContext: {runAsNonRoot: true}
`

const settingsOf = `
---
apiVersion: v1
kind: ConfigMap
metadata: {name: edge}
data:
  edge.yml: |
    version: 1
    listeners: [{name: web, address: ":8080"}]
    policy: {dir: /policy}
    probes: {address: ":9902"}
`

var writtens = []written{
	{name: "a sidecar named like Sluice, before it", files: `-- a.yaml --
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: edge, namespace: prod}
spec:
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1}}
  template:
    metadata: {labels: {app: edge}}
    spec:
      containers:
      - {name: sluice-logs, image: "fluent/fluent-bit:4.0", ports: [{name: forward, containerPort: 24224}]}
      - name: edge
        image: example.com:5000/edge/sluice:1.2
        command: [/bin/sh, -c, "ulimit -c 0; exec /sluice run -c /conf/sluice.yaml"]
        volumeMounts: [{name: c, mountPath: /conf}, {name: data, mountPath: /data, subPath: edge}]` + probesOf + `
      volumes: [{name: c, configMap: {name: edge, items: [{key: edge.yml, path: sluice.yaml}]}}, {name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: edge}
spec: {selector: {app: edge}, ports: [{name: web, port: 80, targetPort: web}, {name: fwd, port: 24224, targetPort: forward}]}
` + settingsOf},

	{name: "the environment from a ConfigMap, a budget by expressions, an autoscaler", files: `-- a.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge}
spec:
  template:
    metadata: {labels: {app: edge}}
    spec:
      terminationGracePeriodSeconds: 40
      containers:
      - name: sluice
        image: sluiceproxy/sluice:0.1.0
        args: [run, --config=/conf/edge.yml]
        envFrom: [{configMapRef: {name: times}}]
        env:
        - {name: SLUICE_DRAIN_TIMEOUT, valueFrom: {configMapKeyRef: {name: more, key: drain}}}
        volumeMounts: [{name: c, mountPath: /conf}]` + probesOf + `
      volumes: [{name: c, configMap: {name: edge}}]
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: times}, data: {SLUICE_PLATFORM_STOP_TIMEOUT: 60s, SLUICE_DRAIN_TIMEOUT: 900s}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: more}, data: {drain: 40s}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: other}
spec: {maxUnavailable: 0, selector: {matchExpressions: [{key: app, operator: In, values: [other]}]}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: edge}
spec:
  minAvailable: 60%
  selector: {matchExpressions: [{key: app, operator: In, values: [edge]}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: edge}
spec: {minReplicas: 2, maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: edge}}
` + settingsOf, want: []string{"stop-limit 8", "budget-blocks 38"}},

	{name: "with carriage returns, and no end of the last line", crlf: true, open: true, files: `-- a.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: edge}
data:
  sluice.yaml: |
    version: 1
    listeners: [{name: web, address: ":8080"}]
    policy: {dir: /policy}
    probes: {address: ":9902"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: edge}}
    spec:
      containers:
      - name: sluice
        image: sluiceproxy/sluice:0.1.0
        volumeMounts: [{name: c, mountPath: /etc/sluice}]` + strings.Replace(probesOf, "securityContext: {runAsNonRoot: true}\n", "", 1) + `
        securityContext: {runAsUser: 0}
      securityContext: {runAsNonRoot: true, runAsUser: 65532}
      volumes: [{name: c, configMap: {name: edge}}]
      terminationGracePeriodSeconds: 20
`, want: []string{"stop-limit 31", "root 28", "budget-missing", "replicas"}},

	{name: "a probe without a path in a flow mapping", files: `-- a.yaml --
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: edge}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: edge}}
    spec:
      containers:
      - name: sluice
        image: sluiceproxy/sluice:0.1.0
        volumeMounts: [{name: c, mountPath: /etc/sluice}]` + strings.Replace(probesOf, "{path: /livez, port: probes}", "{port: probes}", 1) + `
      volumes: [{name: c, configMap: {name: edge, items: [{key: edge.yml, path: sluice.yaml}]}}]
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: edge}, spec: {maxUnavailable: 1, selector: {}}}
` + settingsOf, want: []string{"liveness-endpoint 15"}},

	{name: "JSON with a configuration in one line", files: `-- a.json --
{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "edge"}, "data": {
"sluice.yaml": "version: 1\nlisteners: [{name: web, address: \":8080\"}]\n\n\n\n\n\n\n\n\n\npolicy: {dri: /policy}\n"}},
{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "edge"}, "spec": {"template": {"spec": {
"nodeName": "a", "containers": [{"name": "sluice",
"image": "sluiceproxy/sluice:0.1.0", "securityContext": {"runAsNonRoot": true},
"startupProbe": {"httpGet": {"path": "/startupz", "port": 9902}, "failureThreshold": 60},
"readinessProbe": {"httpGet": {"path": "/servingz", "port": 9902}, "failureThreshold": 1},
"livenessProbe": {"httpGet": {"path": "/healthz", "port": 9902}},
"volumeMounts": [{"name": "c", "mountPath": "/etc/sluice"}]}],
"volumes": [{"name": "c", "configMap": {"name": "edge"}}]}}}}]}
`, want: []string{"config-invalid 3"}},

	{name: "an ALB that sends to pods, an NLB that sends to nodes", files: `-- a.yaml --
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: edge}
spec:
  template:
    metadata: {labels: {app: edge}}
    spec:
      containers:
      - name: sluice
        image: sluiceproxy/sluice:0.1.0
        volumeMounts: [{name: c, mountPath: /etc/sluice}]` + probesOf + `
      volumes: [{name: c, configMap: {name: edge, items: [{key: edge.yml, path: sluice.yaml}]}}]
---
apiVersion: v1
kind: Service
metadata:
  name: edge
  annotations:
    service.beta.kubernetes.io/aws-load-balancer-type: external
    service.beta.kubernetes.io/aws-load-balancer-healthcheck-path: /readyz
spec: {type: LoadBalancer, selector: {app: edge}, ports: [{name: web, port: 80, targetPort: web}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: edge
  annotations:
    alb.ingress.kubernetes.io/target-type: ip
    alb.ingress.kubernetes.io/healthcheck-path: /readyz
    alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=30, routing.http2.enabled=true
spec:
  ingressClassName: alb
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: edge, port: {name: web}}}}]}}]
` + settingsOf, want: []string{"lame-duck", "health-path 35"}},

	{name: "a pod, and a rollout of Argo", files: `-- a.yaml --
apiVersion: v1
kind: Pod
metadata: {name: edge}
spec:
  containers:
  - name: sluice
    image: sluiceproxy/sluice:0.1.0
    securityContext: {runAsNonRoot: true}
    startupProbe: {grpc: {port: 9902, service: startup}, periodSeconds: 2, failureThreshold: 60}
    readinessProbe: {grpc: {port: 9902, service: serving}, periodSeconds: 2, failureThreshold: 1}
    livenessProbe: {grpc: {port: 9902}}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: edge}
spec:
  replicas: 3
  strategy: {canary: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: edge}}
    spec: {containers: [{name: sluice, image: "sluiceproxy/sluice:0.1.0", securityContext: {runAsNonRoot: true}}]}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: edge}, spec: {maxUnavailable: 1, selector: {matchLabels: {app: edge}}}}
`, want: []string{"liveness-endpoint 11", "readiness-missing 14", "liveness-missing 14", "startup-missing 14"}},

	{name: "more documents than are read", files: "-- a.yaml --\n" + strings.Repeat("apiVersion: v1\nkind: Secret\n---\n", 200) + "apiVersion: v1\nkind: Secret\n",
		want: []string{"unreadable", "unreadable"}},
	{name: "a file that cannot be read, at its line", files: "-- a.yaml --\napiVersion: v1\nkind: Secret\n---\na: [\n-- b.yaml --\nversion: 1\nlisteners: [{name: web, address: \":8080\"}]\npolicy: {dir: /p}\n",
		want: []string{"unreadable 4"}},

	{name: "without the configuration, ports are not judged", files: `-- a.yaml --
apiVersion: v1
kind: Service
metadata: {name: edge}
spec: {selector: {app: edge}, ports: [{port: 443, targetPort: 8443}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: edge}
spec:
  template:
    metadata: {labels: {app: edge}}
    spec:
      containers:
      - name: sluice
        image: sluiceproxy/sluice:0.1.0
        securityContext: {runAsNonRoot: true}
        startupProbe: {httpGet: {path: /startupz, port: 9000}, periodSeconds: 2, failureThreshold: 60}
        readinessProbe: {httpGet: {path: /servingz, port: 9000}, periodSeconds: 2, failureThreshold: 1}
        livenessProbe: {grpc: {port: 9000, service: live}}
`},

	{name: "tasks on EC2 as they are printed, with a log router", files: `-- task.json --
{"taskDefinition": {"family": "edge", "requiresCompatibilities": ["EC2"], "containerDefinitions": [
{"name": "sluice-log-router", "image": "public.ecr.aws/aws-observability/aws-for-fluent-bit:2.32", "firelensConfiguration": {"type": "fluentbit"}},
{"name": "proxy", "image": "registry.example/sluice:7", "stopTimeout": 300,
"command": ["run", "--listen", ":8080", "--to", "10.0.0.1:80", "--public", "--platform-stop-timeout=290s", "--lame-duck-min", "8s", "--probes-address", ":9902"],
"portMappings": [{"containerPortRange": "9000-9010"}, {"containerPort": 8080}],
"healthCheck": {"command": ["CMD", "/sluice", "health", "--live"]}}]}}
-- services.json --
{"services": [
{"serviceName": "edge", "taskDefinition": "arn:aws:ecs:eu-west-1:123:task-definition/edge:12", "desiredCount": 2, "schedulingStrategy": "REPLICA",
"deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
"loadBalancers": [{"targetGroupArn": "arn:tg/a", "containerName": "proxy", "containerPort": 8080}]},
{"serviceName": "edge-old", "taskDefinition": "arn:aws:ecs:eu-west-1:123:task-definition/my-edge:3", "desiredCount": 1,
"loadBalancers": [{"targetGroupArn": "arn:tg/b", "containerName": "proxy", "containerPort": 1}]}]}
-- groups.json --
{"TargetGroups": [{"TargetGroupArn": "arn:tg/a", "Protocol": "HTTP", "HealthCheckPort": "9902", "HealthCheckPath": "/readyz", "Matcher": {"HttpCode": "200-203,230"}},
{"TargetGroupArn": "arn:tg/b", "Protocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckPath": "/", "Matcher": {"HttpCode": "200-399"}}]}
-- attributes.json --
{"Attributes": [{"Key": "stickiness.enabled", "Value": "false"}, {"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]}
`, want: []string{"deregistration 1"}},

	{name: "more than Fargate takes", files: `-- task.json --
{"family": "edge", "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [
{"name": "proxy", "image": "sluice:7",
"command": ["run", "--listen", ":8080", "--to", "10.0.0.1:80", "--public", "--platform-stop-timeout=300s"],
"healthCheck": {"command": ["CMD", "/sluice", "health", "--live"]}}]}
`, want: []string{"stop-limit 2"}},

	{name: "compose with commands as lines and variables", files: `-- compose.yaml --
services:
  edge:
    image: sluiceproxy/sluice:0.1.0
    entrypoint: /sluice run
    command: --listen :8080 --to "app:80" --public --platform-stop-timeout 60s --drain-timeout 40s
    stop_grace_period: ${GRACE:-1m}
    environment: {SLUICE_LOG_LEVEL: null, SLUICE_LOG_FORMAT: "${FORMAT}"}
    ports: ["${PORT:-80}:${INNER:-8080}", "9000-9010:9000-9010", "8080:8080/udp"]
    healthcheck: {interval: 5s}
  app: {image: "nginx:1.29"}
`},

	{name: "compose services that extend another", files: `-- compose.yaml --
services:
  base:
    image: sluiceproxy/sluice:0.1.0
    command: [run, --listen, ":8080", --to, "app:80", --public]
    healthcheck: {disable: true}
    stop_grace_period: 1m
  edge: {extends: {service: base}, healthcheck: {test: [CMD, /sluice, health]}}
  sluice: {extends: {file: other.yaml, service: base}}
  round: {extends: round, image: "sluice:1", stop_grace_period: 1m}
`, want: []string{"health-check-missing 2"}},

	{name: "compose through a shell", files: `-- compose.yaml --
services:
  edge:
    image: sluiceproxy/sluice:0.1.0
    entrypoint: ["/bin/sh", "-c"]
    command: /sluice run --listen :8080 --public --to app:80
    environment: [SLUICE_DRAIN_TIMEOUT]
    stop_grace_period: 30s
`, want: []string{"shell-start 5"}},

	{name: "a unit with drop-ins", files: `-- /etc/systemd/system/edge.service --
[Service]
Type=notify
ExecStart=/usr/bin/env GODEBUG=x /opt/sluice/sluice run \
  # a comment does not end it
  -c /etc/sluice/sluice.yaml
Environment="SLUICE_LOG_LEVEL=debug" SLUICE_DRAIN_TIMEOUT=14s
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
WatchdogSec=1 min
DynamicUser=true
SuccessExitStatus=3
TimeoutStopSec=2 minutes
-- /etc/systemd/system/edge.service.d/20-b.conf --
[Service]
KillMode=process
-- /etc/systemd/system/edge.service.d/10-a.conf --
[Service]
ExecStart=
ExecStart=-/opt/sluice/sluice run --listen :8080 --public --to 127.0.0.1:80 --admin-address unix:/run/a.sock
TimeoutStopSec=0
-- other.socket --
[Socket]
ListenStream=9999
Accept=yes
-- edge.socket --
[Socket]
ListenStream=/run/edge.sock
`, want: []string{"unit-kill-mode 2"}},

	{name: "an image on this project's", files: `-- Dockerfile --
ARG VERSION=0.1.0
FROM sluiceproxy/sluice:${VERSION}
COPY sluice.yaml /etc/sluice/sluice.yaml
`},

	{name: "stages, a here-document, no entry point", files: `-- Dockerfile --
FROM alpine:3.22 AS base
USER	65532
HEALTHCHECK CMD ["/sluice", "health"]
FROM golang:1.26 AS build
RUN <<EOT
USER root
FROM nothing
EOT
FROM --platform=linux/amd64 base
COPY --from=build /sluice /sluice
CMD ["/sluice", "run"]
`},

	{name: "an entry point that executes", files: "-- Dockerfile --\nFROM alpine:3\nUSER 1\nHEALTHCHECK CMD [\"/sluice\", \"health\"]\nENTRYPOINT exec /sluice run\n"},
}

// parse splits "-- name --" files.
func (w written) parse() (files []doctor.File) {
	for _, part := range strings.Split(w.files, "-- ")[1:] {
		name, text, ok := strings.Cut(part, " --\n")
		if !ok {
			panic(w.name)
		}
		if w.crlf {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		if w.open {
			text = strings.TrimRight(text, "\r\n")
		}
		files = append(files, doctor.File{Name: name, Text: []byte(text)})
	}
	return files
}

// TestWritten: what operators write is understood: what is wrong is found in its place, and
// nothing else; and a patch puts nothing wrong in its place.
func TestWritten(t *testing.T) {
	for _, w := range writtens {
		t.Run(w.name, func(t *testing.T) {
			files := w.parse()
			r := doctor.Examine(files, doctor.Options{})
			left := slices.Clone(w.want)
			for _, f := range r.Findings {
				if f.Severity == doctor.Note {
					continue
				}
				i := slices.IndexFunc(left, func(s string) bool { return s == fmt.Sprintf("%s %d", f.Rule, f.Line) || s == f.Rule })
				if i < 0 {
					t.Errorf("%s %s: %s (%s)", f.Place(), f.Rule, f.Message, line(files, f))
					continue
				}
				left = slices.Delete(left, i, i+1)
			}
			if len(left) > 0 {
				t.Errorf("not found: %q in %+v", left, r.Findings)
			}
			patched := doctor.Examine(apply(t, files, r.Patch()), doctor.Options{})
			for _, f := range patched.Findings {
				if !slices.ContainsFunc(r.Findings, func(g doctor.Finding) bool { return g.Rule == f.Rule }) {
					t.Errorf("the patch brings %s %s: %s\n%s", f.Place(), f.Rule, f.Message, r.Patch())
				}
			}
		})
	}
}
