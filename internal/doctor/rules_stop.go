package doctor

import (
	"path"
	"slices"
	"strings"
	"time"
)

// maxFargate is the longest stopTimeout that Fargate takes.
const maxFargate = 120 * time.Second

var stopRules = []Rule{
	{ID: "stop-limit", Severity: Failure, Title: "the platform kills before the longest stop is over",
		Why:   "SIGKILL in the middle of a drain cuts whatever is in flight, and no receipt is written. The process lays its phases out inside `platform.stop_timeout`: the platform has to give that much.",
		check: checkStopLimit},
	{ID: "stop-limit-fargate", Severity: Failure, Title: "stopTimeout is more than Fargate takes",
		Why: "The task definition is refused, or the limit is 120 s all the same.", check: func(d *deployment, r *reporter) {
			if d.fargate && d.stop.ok && d.stop.d > maxFargate {
				r.found(d.stop.at, "lower it to 120, and platform.stop_timeout and the phases with it", "stopTimeout is %s; Fargate takes at most %s", d.stop.d, maxFargate)
			}
		}},
	{ID: "stop-limit-unused", Severity: Note, Title: "the platform would wait far longer than the drain",
		Why: "Requests longer than `drain.timeout` are cut although there would be time to finish them.", check: func(d *deployment, r *reporter) {
			if d.cfg != nil && d.stop.ok && d.stop.d < 24*time.Hour && d.stop.d > 3*d.cfg.Platform.StopTimeout {
				r.found(d.stop.at, "raise platform.stop_timeout, and drain.timeout within it", "%s is %s, but by platform.stop_timeout the process ends after %s", d.stop.setting, d.stop.d, d.cfg.Platform.StopTimeout)
			}
		}},
	{ID: "pre-stop", Severity: Failure, Title: "a preStop hook takes time that the process does not know of",
		Why: "The grace period runs from before the hook. What the hook takes is missing at the end of the drain, unless `platform.pre_stop` says so.", check: func(d *deployment, r *reporter) {
			if d.cfg != nil && d.preStop.ok && d.preStop.d > d.cfg.Platform.PreStop {
				r.found(d.preStop.at, "remove the hook (the lame duck does the same, and is counted), or set platform.pre_stop: "+d.preStop.d.String(),
					"the preStop hook takes %s, and platform.pre_stop is %s", d.preStop.d, d.cfg.Platform.PreStop)
			}
		}},
	{ID: "stop-signal", Severity: Failure, Title: "a stop begins with a signal that is no SIGTERM",
		Why: "SIGKILL cuts everything, SIGQUIT prints goroutines and ends, SIGHUP reloads, SIGUSR2 upgrades: none of them drains.", check: func(d *deployment, r *reporter) {
			switch s := strings.TrimPrefix(strings.ToUpper(d.signal.text), "SIG"); s {
			case "", "TERM", "INT", "15", "2":
			default:
				r.found(d.signal.at, "leave it out: SIGTERM is the default", "the platform stops with SIG%s", s)
			}
		}},
	{ID: "shell-start", Severity: Failure, Title: "a shell is started in front of the process",
		Why: "The shell gets SIGTERM and does not pass it on: the process is killed at the end of the limit, undrained. The image has no shell anyway.", check: func(d *deployment, r *reporter) {
			at := d.argsAt
			if d.shellStart.file != "" {
				at = d.shellStart
			} else if len(d.args) == 0 || !slices.Contains(shells, path.Base(d.args[0])) {
				return
			}
			r.found(at, `start the program itself, as a list: ["/sluice", "run", "-c", "/etc/sluice/sluice.yaml"]`, "the process is a child of a shell")
		}},
	{ID: "lame-duck", Severity: Failure, Title: "new connections come for longer than the process accepts",
		Why:   "Whoever sends traffic learns late that a replica leaves: EndpointSlices and kube-proxy take seconds, cloud balancers longer: an ALB about 20 s, an NLB two minutes, where a controller deregisters pods that stop already. What comes after the listeners are closed is refused.",
		check: checkLameDuck},
	{ID: "lame-duck-health", Severity: Warning, Title: "a balancer's health check is slower than the lame duck",
		Why: "Where nobody deregisters the target, its health check alone tells the balancer. It has to fail as often as needed before the listeners close.", check: func(d *deployment, r *reporter) {
			for _, b := range d.balancers {
				if told := d.platform == kubernetes || d.platform == ecs; d.cfg != nil && !told && b.kind != kubeProxy && b.notices() > d.cfg.LameDuck.Min {
					r.found(b.at, "raise lame_duck.min to "+b.notices().String()+", or check more often", "the %s's health check needs %s to notice, and lame_duck.min is %s", b.kind, b.notices(), d.cfg.LameDuck.Min)
				}
			}
		}},
}

func checkStopLimit(d *deployment, r *reporter) {
	if d.cfg == nil || d.platform == bare || d.platform == docker {
		return
	}
	need, have := d.cfg.Platform.StopTimeout, d.stop.limit()
	if have >= need || d.stop.unknown {
		return
	}
	how := "is"
	if !d.stop.ok {
		how = "is not set, which means"
	}
	value := secs(need)
	if d.platform == compose {
		value += "s"
	}
	remedy := "set " + d.stop.setting + " to " + value + ", or plan with less: platform.stop_timeout"
	if d.fargate && need > maxFargate {
		remedy = "set platform.stop_timeout to " + secs(maxFargate) + "s at most, which is what Fargate takes, with phases that fit, and stopTimeout to the same"
	}
	f := r.found(d.stop.at, remedy, "%s %s %s, but the process plans its stop within platform.stop_timeout %s", d.stop.setting, how, have, need)
	switch {
	case d.fargate && need > maxFargate:
	case d.unit.is && d.unit.heard():
		f.Severity = Note
		f.Message += "; systemd waits for as long as the process asks for more time, and kills it at once where it hangs"
		f.edit = d.stop.replace(value)
	case !d.stop.ok && d.stop.insert.file != "":
		f.edit = d.stop.insert
		f.edit.text = fill(f.edit.text, value)
	case d.stop.ok && d.stop.replace != nil:
		f.edit = d.stop.replace(value)
	}
}

// fill completes an insertion that was made before its value was known.
func fill(text, value string) string {
	if before, isJSON := strings.CutSuffix(text, ","); isJSON {
		return before + value + ","
	}
	return text + value
}

func checkLameDuck(d *deployment, r *reporter) {
	if d.cfg == nil {
		return
	}
	var slowest balancer
	for _, b := range d.balancers {
		if b.newFor(d.platform) > slowest.newFor(d.platform) {
			slowest = b
		}
	}
	if lag := slowest.newFor(d.platform); lag > d.cfg.LameDuck.Min {
		r.found(d.cfgAt, "set lame_duck.min to "+lag.String()+" at least, and lame_duck.max and platform.stop_timeout to what that needs", "lame_duck.min is %s; behind the %s new connections come for about %s", d.cfg.LameDuck.Min, slowest.kind, lag)
	}
}
