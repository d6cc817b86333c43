# What is the same for every policy: how its actions decide, and what its criteria look at.
package policy

default outcome := "challenge"

outcome := "allow" if {
	allowed
	not denied_or_unknown
}

outcome := "deny" if denied

outcome := "deny" if {
	not denied
	refused
}

denied_or_unknown if {
	some i in denies
	not surely_false[i]
}

denied if {
	some i in denies
	surely_true[i]
}

allowed if {
	some i in allows
	surely_true[i]
}

refused if {
	every i in allows {
		surely_false[i]
	}
}

known if input.identity != null

email := lower(input.identity.email)

domain := "" if not contains(email, "@")

domain := parts[count(parts) - 1] if {
	contains(email, "@")
	parts := split(email, "@")
}

claim(path) := object.get(input.identity.claims, path, [])

clock(zone) := time.clock([input.now, zone])

calendar(zone) := array.concat(time.date([input.now, zone]), clock(zone))

within(at, after, before) if {
	after < before
	after <= at
	at < before
}

within(at, after, before) if {
	after > before
	after <= at
}

within(at, after, before) if {
	after > before
	at < before
}
