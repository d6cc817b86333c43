package doctor

import (
	"fmt"
	"time"
)

// Severity says what a finding means for an exit code.
type Severity uint8

// The severities. Failure: requests are lost, a drain is killed, or a probe lies; Warning:
// so they are in some rollouts, or an operator is blind; Note: worth knowing.
const (
	Note Severity = iota
	Warning
	Failure
)

var severityNames = [...]string{Note: "note", Warning: "warning", Failure: "error"}

func (s Severity) String() string { return severityNames[s] }

// MarshalText writes the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one fault of a deployment.
type Finding struct {
	Rule     string   `json:"rule"` // of Rules
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line"`    // from 1; 0: the file as a whole
	Subject  string   `json:"subject"` // "Deployment sluice", "task definition edge"; empty: the file
	Message  string   `json:"message"` // complete in itself
	Remedy   string   `json:"remedy"`  // what to do

	edit edit
}

// Place is where to look: "deployment.yaml:12".
func (f Finding) Place() string {
	if f.Line == 0 {
		return f.File
	}
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}

// Rule is one thing that is looked for.
type Rule struct {
	ID       string
	Severity Severity
	Title    string // what is wrong when it is found
	Why      string // what comes of it

	check func(d *deployment, r *reporter)
}

// reporter takes the findings of one rule about one deployment.
type reporter struct {
	rule Rule
	d    *deployment
	out  *[]Finding
}

// found reports a finding at a place. It returns it, so that an edit can be added.
func (r *reporter) found(at spot, remedy, format string, args ...any) *Finding {
	if at.file == "" {
		at = r.d.at
	}
	*r.out = append(*r.out, Finding{Rule: r.rule.ID, Severity: r.rule.Severity, File: at.file, Line: at.line,
		Subject: r.d.name, Message: fmt.Sprintf(format, args...), Remedy: remedy})
	return &(*r.out)[len(*r.out)-1]
}

// spot is a place in a file. The zero spot is nowhere.
type spot struct {
	file string
	line int // from 1
	col  int // from 1
}

// secs writes a duration as platforms do that count in seconds, rounded up.
func secs(d time.Duration) string { return fmt.Sprint(int64((d + time.Second - 1) / time.Second)) }
