package proxy

// Withhold keeps the policy in force from allowing anything until it is taken back: requests get 503 policy_stale,
// connections to TCP listeners are closed, and open streams end as after a policy that refuses them. It is for a policy
// that is too old to be acted upon (policy.on_stale: deny). Exchanges that were decided about before finish. Safe for concurrent use.
func (core *Core) Withhold(withhold bool) {
	if core.gate.withheld.Swap(withhold) != withhold && withhold {
		core.Recheck()
	}
}

// Withheld reports whether the policy in force is kept from allowing anything.
func (core *Core) Withheld() bool { return core.gate.withheld.Load() }
