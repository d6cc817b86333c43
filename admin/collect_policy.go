package admin

import "github.com/sluiceproxy/sluice/authz/policysync"

// collectPolicy reads which policy is in force.
func (c *collector) collectPolicy(e emitter) {
	p := read(c.s.Policy)
	e.flag(policySynced, p.InForce())
	if p.InForce() {
		e.value(policyVersion, 1, p.Version, p.Hash)
	}
	e.value(policyLastSync, unix(p.Applied))
	e.value(policyStale, p.StaleSeconds)
	for _, state := range policysync.FreshnessStates() {
		is := p.Freshness == string(state) || p.Freshness == "" && state == policysync.NotJudged
		e.flag(policyFreshness, is, string(state))
	}
	e.value(policyExpires, unix(p.Expires))
	for _, r := range policysync.Reasons() {
		e.value(policyRejected, float64(p.Rejections[string(r)]), string(r))
	}
	e.flag(policyNewestRejected, p.Rejected != nil)
}

// collectReloads reads how reloads went.
func (c *collector) collectReloads(e emitter) {
	r := read(c.s.Reloads)
	e.value(reloads, float64(r.Succeeded), "success")
	e.value(reloads, float64(r.Failed), "failure")
	e.flag(reloadOK, !r.LastFailed)
	e.value(reloadTime, unix(r.LastSuccess))
}
