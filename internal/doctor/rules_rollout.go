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
			n := d.rollout.fewest()
			if (d.platform == kubernetes && d.rollout.needsBudget || d.platform == ecs && d.rollout.at.file != "" && !d.rollout.inPlace) && n.n < 2 {
				r.found(n.at, "run two or more", "the deployment has %d replica", n.n)
			}
		}},
	{ID: "replicas-autoscaled", Severity: Warning, Title: "both a file and an autoscaler say how many replicas there are",
		Why: "Each time the file is applied it sets them back: everything above drains at once, under load, until the autoscaler adds it again.", check: func(d *deployment, r *reporter) {
			if n := d.rollout.replicas; d.rollout.autoscaled && n.ok {
				r.found(n.at, "leave replicas out", "replicas is %d, and a HorizontalPodAutoscaler sets it as well", n.n)
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
			have := d.rollout.fewest().n
			n, known := share(b.minAvailable.text, have, true)
			switch none := b.maxUnavailable.text == "0" || b.maxUnavailable.text == "0%"; {
			case none:
				r.found(b.maxUnavailable.at, "set maxUnavailable: 1", "the PodDisruptionBudget allows %s to be unavailable", b.maxUnavailable.text)
			case known && n > 0 && n >= have && d.rollout.needsBudget:
				r.found(b.minAvailable.at, "use maxUnavailable: 1 instead", "the PodDisruptionBudget wants %s of %d available", b.minAvailable.text, have)
			}
		}},
	{ID: "fleet-id", Severity: Failure, Title: "all replicas have one ID in the fleet",
		Why: "Replicas of one ID count as one: they take each other's turns, and more may be away at once than fleet.budget says. During a rollout there are two even of one.", check: func(d *deployment, r *reporter) {
			if d.cfg != nil && d.cfg.Fleet.Enabled && d.cfg.Fleet.ID != "" && (d.platform == kubernetes || d.platform == ecs) {
				r.found(d.configured(), "leave fleet.id out (the name of the host is taken, which is the pod's or the task's own), or set SLUICE_FLEET_ID from the platform", "fleet.id is %q for every replica", d.cfg.Fleet.ID)
			}
		}},
	{ID: "fleet-budget", Severity: Warning, Title: "the drain budget lets all replicas leave at once",
		Why: "The budget is there so that some always serve.", check: func(d *deployment, r *reporter) {
			if d.cfg == nil || !d.cfg.Fleet.Enabled {
				return
			}
			n := d.rollout.fewest().n
			if b := d.cfg.FleetBudget(); b.Percent == 100 || n > 1 && int64(b.Of(int(n))) >= n {
				r.found(d.configured(), "set fleet.budget to 1, or to a share such as \"10%\"", "fleet.budget is %s", b)
			}
		}},
	{ID: "publish-not-ready", Severity: Failure, Title: "a service sends to pods that are not ready",
		Why: "publishNotReadyAddresses switches readiness off: traffic comes before the policy is in force and all through the drain.", check: func(d *deployment, r *reporter) {
			if at := d.rollout.publishEarly; at.file != "" {
				r.found(at, "leave it out", "publishNotReadyAddresses is set")
			}
		}},
}

// configured is where the configuration stands, as far as it is known.
func (d *deployment) configured() spot {
	if d.cfgAt.file != "" {
		return d.cfgAt
	}
	return d.at
}

// fewest is how many replicas there may be: what an autoscaler goes down to, or what is set.
func (r rollout) fewest() number {
	if r.autoscaled {
		return r.scaler
	}
	return r.replicas
}

// share is a number, or a percentage of all, rounded up or down as its reader does. False: it is
// neither.
func share(text string, all int64, up bool) (int64, bool) {
	percent, isShare := strings.CutSuffix(text, "%")
	n, err := strconv.ParseInt(percent, 10, 32)
	if err != nil || n < 0 || !isShare {
		return n, err == nil && n >= 0
	}
	if up {
		return (n*all + 99) / 100, true
	}
	return n * all / 100, true
}

func checkSurge(d *deployment, r *reporter) {
	roll := d.rollout
	switch d.platform {
	case kubernetes:
		if roll.recreate || roll.inPlace {
			return
		}
		const remedy = "set maxUnavailable: 0 and maxSurge: 1"
		n, _ := share(roll.unavailable.text, roll.fewest().n, false)
		switch noSurge := roll.surge.text == "0" || roll.surge.text == "0%"; {
		case noSurge && roll.unavailable.text == "":
			r.found(roll.surge.at, remedy, "maxSurge is %s: one replica leaves before the next one comes", roll.surge.text)
		case noSurge, n > 0 && !strings.HasSuffix(roll.unavailable.text, "%"), n > 0 && n >= roll.fewest().n:
			r.found(roll.unavailable.at, remedy, "maxUnavailable is %s", roll.unavailable.text).edit = roll.surgeEdit
		}
	case ecs:
		if roll.at.file == "" || roll.inPlace {
			return
		}
		if roll.maxPercent.n <= 100 {
			r.found(roll.maxPercent.at, "set maximumPercent to 200", "maximumPercent is %d: no task starts before one has stopped", roll.maxPercent.n)
		} else if roll.minHealthy.n < 100 {
			r.found(roll.minHealthy.at, "set minimumHealthyPercent to 100", "minimumHealthyPercent is %d", roll.minHealthy.n).edit = roll.surgeEdit
		}
	}
}
