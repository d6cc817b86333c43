package doctor

import (
	"regexp"
	"slices"
	"strings"
)

// perConnection is how many descriptors a connection needs: its own and its upstream's.
const perConnection = 2

var hostRules = []Rule{
	{ID: "descriptors", Severity: Failure, Title: "there are fewer descriptors than connections need",
		Why: "Each connection takes two descriptors. Without them accepts fail, and with a limit that was asked for the process does not start.", check: func(d *deployment, r *reporter) {
			if d.cfg == nil || !d.nofile.ok {
				return
			}
			if need := int64(perConnection*d.cfg.Limits.MaxConnections) + 200; d.nofile.n < need {
				r.found(d.nofile.at, "raise it above twice limits.max_connections, or lower that", "%d descriptors are allowed, and limits.max_connections %d needs %d", d.nofile.n, d.cfg.Limits.MaxConnections, need)
			}
		}},
	{ID: "config-subpath", Severity: Warning, Title: "a file is mounted by subPath",
		Why: "Kubernetes never updates such a mount: a changed policy or certificate arrives with the next pod, and not before.", check: func(d *deployment, r *reporter) {
			if d.pod.subPath.file != "" {
				r.found(d.pod.subPath, "mount the directory", "%s is mounted by subPath", d.pod.subPathOf)
			}
		}},
	{ID: "root", Severity: Warning, Title: "the process runs as root",
		Why: "It needs no privilege but a low port's, which net.ipv4.ip_unprivileged_port_start or CAP_NET_BIND_SERVICE gives.", check: func(d *deployment, r *reporter) {
			if d.pod.root.file != "" {
				r.found(d.pod.root, "run it as a user of its own (65532 in the image; DynamicUser=yes)", "nothing keeps the process from running as root")
			}
		}},
	{ID: "image-latest", Severity: Warning, Title: "the image has no fixed version",
		Why: "Replicas of one rollout may differ, and a rollback starts the same again.", check: func(d *deployment, r *reporter) {
			image := d.image.text
			if image == "" || strings.Contains(image, "@sha256:") || strings.Contains(image, "$") {
				return
			}
			_, tag, found := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
			if !found || tag == "latest" {
				r.found(d.image.at, "name a version, or a digest", "the image is %s", image)
			}
		}},
}

var unitRules = []Rule{
	{ID: "unit-type", Severity: Failure, Title: "systemd takes the process for up when it is forked",
		Why: "Units that come after it, and restarts one by one, go on before the policy is in force.", check: func(d *deployment, r *reporter) {
			if k := d.unit.kind; d.unit.is && k.text != "notify" && k.text != "notify-reload" {
				r.found(k.at, "set Type=notify", "Type is %q", k.text).edit = d.unit.set("Type", "notify")
			}
		}},
	{ID: "unit-kill-mode", Severity: Failure, Title: "a stop kills children, or nobody",
		Why: "KillMode=none leaves the process running; with process, the generations of an upgrade that still drain are left behind; with mixed they get SIGKILL as soon as the main process has ended.", check: func(d *deployment, r *reporter) {
			if k := d.unit.killMode; d.unit.is && k.text != "" && k.text != "control-group" {
				f := r.found(k.at, "leave it out", "KillMode is %s", k.text)
				if k.text == "mixed" { // who never upgrades in place has no generations
					f.Severity = Warning
				}
			}
		}},
	{ID: "unit-exit", Severity: Warning, Title: "exit code 3 counts as a failure of the unit",
		Why: "The process ends with 3 when a drain had to cut something. It has ended as asked: a unit in state failed, restarted, would hide that.", check: func(d *deployment, r *reporter) {
			if d.unit.is && !slices.Contains(strings.Fields(d.unit.success.text), "3") {
				r.found(d.unit.success.at, "set SuccessExitStatus=3", "SuccessExitStatus does not name 3").edit = d.unit.set("SuccessExitStatus", "3")
			}
		}},
	{ID: "unit-stop-command", Severity: Failure, Title: "a stop runs a command that kills",
		Why: "systemd runs ExecStop before it sends SIGTERM: a process that gets SIGKILL there drains nothing.", check: func(d *deployment, r *reporter) {
			for _, c := range d.unit.stop {
				if slices.ContainsFunc(strings.Fields(strings.NewReplacer(`"`, " ", "'", " ").Replace(c.text)), sigkill.MatchString) {
					r.found(c.at, "leave it out: systemd sends SIGTERM by itself", "ExecStop is %q", c.text)
				}
			}
		}},
	{ID: "unit-restart", Severity: Warning, Title: "nobody starts it again",
		Why: "A process that dies, or that the watchdog kills, stays dead.", check: func(d *deployment, r *reporter) {
			if s := d.unrestarted; s.file != "" {
				r.found(s, "set restart: unless-stopped", "restart is no")
			}
			if s := d.unit.restart; d.unit.is && (s.text == "" || s.text == "no") {
				r.found(s.at, "set Restart=on-failure", "Restart is not set").edit = d.unit.set("Restart", "on-failure")
			}
		}},
	{ID: "unit-watchdog", Severity: Warning, Title: "nobody notices that it hangs",
		Why: "The process reports for as long as its loops turn. Without WatchdogSec nobody listens.", check: func(d *deployment, r *reporter) {
			if d.unit.is && !d.unit.watchdog.ok {
				r.found(spot{}, "set WatchdogSec=30", "WatchdogSec is not set").edit = d.unit.set("WatchdogSec", "30")
			}
		}},
	{ID: "unit-notify-access", Severity: Failure, Title: "what the process says is not heard",
		Why: "With NotifyAccess=none neither READY nor EXTEND_TIMEOUT_USEC arrives: the start runs into its limit and the drain is killed.", check: func(d *deployment, r *reporter) {
			if n := d.unit.notifyAccess; d.unit.is && n.text == "none" {
				r.found(n.at, "set NotifyAccess=main", "NotifyAccess is none").edit = d.unit.set("NotifyAccess", "main")
			}
		}},
	{ID: "unit-proc-subset", Severity: Warning, Title: "the unit hides the limit of the backlog",
		Why: "With ProcSubset=pid the process cannot read net.core.somaxconn, and its listeners queue 128 connections at most: what comes in a burst beyond that is dropped.", check: func(d *deployment, r *reporter) {
			if s := d.unit.procSubset; s.text == "pid" {
				r.found(s.at, "leave it out (ProtectProc=invisible hides other processes)", "ProcSubset is pid").edit = d.unit.set("ProcSubset", "all")
			}
		}},
	{ID: "unit-reload", Severity: Warning, Title: "`systemctl reload` does nothing",
		Why: "Policy, keys and certificates are read again by `sluice reload`.", check: func(d *deployment, r *reporter) {
			if d.unit.is && d.unit.reload.text == "" && d.unit.kind.text != "notify-reload" {
				r.found(spot{}, "set ExecReload=/usr/local/bin/sluice reload -c /etc/sluice/sluice.yaml", "ExecReload is not set")
			}
		}},
	{ID: "socket-accept", Severity: Failure, Title: "the socket unit starts a process for each connection",
		Why: "Accept=yes passes a connection, not a listener.", check: func(d *deployment, r *reporter) {
			if at := d.unit.accept; at.file != "" {
				r.found(at, "leave it out", "Accept is yes")
			}
		}},
}

// sigkill is a word that names SIGKILL to kill(1), pkill(1) and their like, and is not their own name.
var sigkill = regexp.MustCompile(`^(-|-s|--signal=)?(SIG)?(9|KILL)$`)
