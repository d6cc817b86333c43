package doctor

import "slices"

// Rules is everything that is looked for, in the order of docs/doctor.md.
func Rules() []Rule {
	return slices.Concat(fileRules, stopRules, probeRules, rolloutRules, trafficRules, hostRules, unitRules)
}

// fileRules are judged while files are read.
var fileRules = []Rule{
	{ID: unreadable, Severity: Failure, Title: "a file cannot be read, or nothing is deployed",
		Why: "What is not read is not judged. Templates (Helm, Jsonnet) have to be rendered first."},
	{ID: unknownFile, Severity: Note, Title: "a file is of no kind that is known",
		Why: "It may be none of the deployment's, or a misspelt key may have made it unrecognizable."},
	{ID: "config-missing", Severity: Note, Title: "the configuration is not among the files",
		Why: "The deployment is judged by the defaults, the environment and the flags that are shown: the times may be others.", check: func(d *deployment, r *reporter) {
			if d.guessed && d.platform != docker {
				r.found(d.argsAt, "give the file as well", "the configuration is not among these files")
			}
		}},
	{ID: invalid, Severity: Failure, Title: "the configuration has faults",
		Why: "The process would refuse to start: a rollout stands still at its first replica."},
}
