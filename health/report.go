package health

import "slices"

// Report is the body of /status: the state of the process, every record by name, and
// the sorted names of what is required.
type Report struct {
	Process  ProcessReport    `json:"process"`
	Statuses map[string]Check `json:"statuses"`
	Checks   []string         `json:"checks"`
}

// Report arranges the snapshot for JSON, under the chosen names.
func (s Snapshot) Report(names Naming) Report {
	r := Report{Process: s.Process, Statuses: make(map[string]Check, len(s.Checks)), Checks: []string{}}
	for _, c := range s.Checks {
		name := names.Name(c.Name)
		r.Statuses[name] = c
		if c.Class == Required {
			r.Checks = append(r.Checks, name)
		}
	}
	slices.Sort(r.Checks)
	return r
}
