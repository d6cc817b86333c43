package doctor

import (
	"strconv"
	"strings"
)

var rolloutRules = []Rule{
	{ID: "rollout-recreate", Severity: Failure, Title: "a rollout stops all before it starts one",
		Why: "Between the last of the old and the first of the new nobody answers.", check: func(d *deployment, r *reporter) {
			if d.rollout.recreate {
				r.found(d.rollout.at, "use RollingUpdate with maxUnavailable: 0 and maxSurge: 1", "the strategy is Recreate")
			}
		}},
	{ID: "rollout-surge", Severity: Failure, Title: "a rollout takes capacity away before the next replica is ready",
		Why:   "The rest carries the load of the one that is missing; with one replica nobody does.",
		check: checkSurge},
	{ID: "replicas", Severity: Warning, Title: "there is one replica",
		Why: "A node that is drained, or that dies, takes the edge with it.", check: func(d *deployment, r *reporter) {
			n := d.rollout.replicas
			if d.rollout.autoscaled {
				n = d.rollout.scaler
			}
			if (d.platform == kubernetes && d.rollout.needsBudget || d.platform == ecs && d.rollout.at.file != "") && n.n < 2 {
				r.found(n.at, "run two or more", "the deployment has %d replica", n.n)
			}
		}},
	{ID: "budget-missing", Severity: Warning, Title: "no PodDisruptionBudget matches",
		Why: "Nodes that are drained together may evict all replicas together.", check: func(d *deployment, r *reporter) {
			if d.platform == kubernetes && d.rollout.needsBudget && d.rollout.budget == nil {
				r.found(d.at, "add a PodDisruptionBudget with maxUnavailable: 1", "no PodDisruptionBudget selects these pods")
			}
		}},
	{ID: "budget-blocks", Severity: Warning, Title: "a PodDisruptionBudget allows no eviction",
		Why: "Draining a node waits for ever, until somebody forces it: then nothing is graceful.", check: func(d *deployment, r *reporter) {
			b := d.rollout.budget
			if b == nil {
				return
			}
			n, err := strconv.ParseInt(b.minAvailable.text, 10, 64)
			switch none := b.maxUnavailable.text == "0" || b.maxUnavailable.text == "0%"; {
			case none:
				r.found(b.maxUnavailable.at, "set maxUnavailable: 1", "the PodDisruptionBudget allows %s to be unavailable", b.maxUnavailable.text)
			case b.minAvailable.text == "100%" || err == nil && d.rollout.replicas.ok && n >= d.rollout.replicas.n:
				r.found(b.minAvailable.at, "use maxUnavailable: 1 instead", "the PodDisruptionBudget wants %s of %d available", b.minAvailable.text, d.rollout.replicas.n)
			}
		}},
	{ID: "publish-not-ready", Severity: Failure, Title: "a service sends to pods that are not ready",
		Why: "publishNotReadyAddresses switches readiness off: traffic comes before the policy is in force and all through the drain.", check: func(d *deployment, r *reporter) {
			if at := d.rollout.publishEarly; at.file != "" {
				r.found(at, "leave it out", "publishNotReadyAddresses is set")
			}
		}},
}

func checkSurge(d *deployment, r *reporter) {
	roll := d.rollout
	switch d.platform {
	case kubernetes:
		zero := roll.unavailable.text == "" || roll.unavailable.text == "0" || roll.unavailable.text == "0%"
		noSurge := roll.surge.text == "0" || roll.surge.text == "0%"
		if !roll.recreate && !zero && (noSurge || !strings.HasSuffix(roll.unavailable.text, "%")) {
			r.found(roll.unavailable.at, "set maxUnavailable: 0 and maxSurge: 1", "maxUnavailable is %s", roll.unavailable.text).edit = roll.surgeEdit
		}
	case ecs:
		if roll.at.file == "" {
			return
		}
		if roll.maxPercent.n <= 100 {
			r.found(roll.maxPercent.at, "set maximumPercent to 200", "maximumPercent is %d: no task starts before one has stopped", roll.maxPercent.n)
		} else if roll.minHealthy.n < 100 {
			r.found(roll.minHealthy.at, "set minimumHealthyPercent to 100", "minimumHealthyPercent is %d", roll.minHealthy.n).edit = roll.surgeEdit
		}
	}
}
