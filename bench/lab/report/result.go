package report

import (
	"runtime"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/plan"
)

// Schema is the name of the form of a File.
const Schema = "sluice-lab/1"

// File is what --json writes.
type File struct {
	Schema  string  `json:"schema"`
	Machine Machine `json:"machine"`
	Runs    []Run   `json:"runs"`
}

// NewFile is one without runs.
func NewFile() File {
	return File{Schema: Schema, Machine: Machine{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()}, Runs: []Run{}}
}

// Add adds runs. Lists that are empty are written as such, and not as null.
func (f *File) Add(runs ...Run) {
	for _, r := range runs {
		fill(&r.Classes)
		fill(&r.Restarts)
		fill(&r.Replicas)
		fill(&r.Timeline)
		fill(&r.Failures)
		for i := range r.Replicas {
			fill(&r.Replicas[i].Phases)
		}
		f.Runs = append(f.Runs, r)
	}
}

func fill[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

// Machine is where it ran.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

// Settings are what a run was asked for.
type Settings struct {
	Replicas      int     `json:"replicas"`
	Rate          float64 `json:"rate"` // arrivals a second, all classes
	LameDuckMS    int64   `json:"lame_duck_ms"`
	DrainMS       int64   `json:"drain_ms"`
	PollMS        int64   `json:"poll_ms"`
	PropagationMS int64   `json:"propagation_ms"`
	Balancer      string  `json:"balancer"` // readiness, blind, haproxy, nginx, none
	Seed          uint64  `json:"seed"`
}

// Run is one run.
type Run struct {
	Proxy    string    `json:"proxy"`
	Version  string    `json:"version"`
	Plan     plan.Kind `json:"plan"`
	Settings Settings  `json:"settings"`
	Began    time.Time `json:"began"`
	Seconds  float64   `json:"seconds"`

	Total    Class          `json:"total"`
	Classes  []Class        `json:"classes"`
	Restarts []plan.Restart `json:"restarts"`
	Replicas []Replica      `json:"replicas"`
	Timeline []Second       `json:"timeline"`
	Failures []Failure      `json:"failures"` // samples
	Gap      Gap            `json:"gap"`
	// ExecutedTwice are IDs of requests that must not be sent again, and were.
	ExecutedTwice []string  `json:"executed_twice,omitempty"`
	Generator     Generator `json:"generator"`
	// Excused is how much of what was lost was so by the plan: in flight at a kill.
	Excused int      `json:"excused"`
	Skipped string   `json:"skipped,omitempty"` // why there was no run
	Error   string   `json:"error,omitempty"`   // why it ended early
	Verdict *Verdict `json:"verdict,omitempty"`
}

// Class is what a class of clients saw.
type Class struct {
	Class     string         `json:"class"`
	Sent      int            `json:"sent"`
	OK        int            `json:"ok"`
	Lost      int            `json:"lost"`
	Refused   int            `json:"refused"`
	Causes    map[string]int `json:"causes,omitempty"`
	Latency   Latency        `json:"latency"`
	Histogram string         `json:"hdr_histogram,omitempty"` // microseconds, V2, compressed, base64
}

// Latency is of what succeeded, from when it was due.
type Latency struct {
	P50US int64 `json:"p50_us"`
	P90US int64 `json:"p90_us"`
	P99US int64 `json:"p99_us"`
	MaxUS int64 `json:"max_us"`
}

// Replica is a life.
type Replica struct {
	Name   string  `json:"name"`
	Slot   string  `json:"slot"`
	PID    int     `json:"pid,omitempty"`
	Phases []Phase `json:"phases"`
}

// Phase is when a replica entered it, in milliseconds of the run.
type Phase struct {
	Phase string `json:"phase"`
	AtMS  int64  `json:"at_ms"`
}

// Second is one of the run.
type Second struct {
	Sent    int   `json:"sent"`
	OK      int   `json:"ok"`
	Lost    int   `json:"lost"`
	Refused int   `json:"refused"`
	P50US   int64 `json:"p50_us"` // of quick classes
	P99US   int64 `json:"p99_us"`
	Open    int   `json:"open"`
	// ByClass are latencies and counts of each class that had arrivals in this second.
	ByClass map[string]ClassSecond `json:"by_class,omitempty"`
}

// ClassSecond is a class in one second.
type ClassSecond struct {
	Sent  int   `json:"sent"`
	Lost  int   `json:"lost,omitempty"`
	P99US int64 `json:"p99_us"`
}

// Failure is one of them, with what is known about it.
type Failure struct {
	ID        string `json:"id"`
	Class     string `json:"class"`
	Cause     string `json:"cause"`
	AtMS      int64  `json:"at_ms"` // when it ended
	TookMS    int64  `json:"took_ms"`
	Replica   string `json:"replica,omitempty"`
	Phase     string `json:"phase,omitempty"` // of that replica, then
	ConnAgeMS int64  `json:"conn_age_ms"`
	ConnUses  int    `json:"conn_uses"`
	Reached   bool   `json:"reached_upstream"`
	RetrySafe bool   `json:"retry_safe"`
	Excused   bool   `json:"excused,omitempty"`
	Err       string `json:"error"`
	Likely    string `json:"likely_cause"`
}

// Gap is the longest time without a success of a quick class.
type Gap struct {
	MS   int64 `json:"ms"`
	AtMS int64 `json:"at_ms"`
}

// Generator is how the load itself fared.
type Generator struct {
	LagP99US  int64   `json:"lag_p99_us"`
	LagMaxUS  int64   `json:"lag_max_us"`
	LateShare float64 `json:"late_share"`
	NotSent   int     `json:"not_sent"`
	Valid     bool    `json:"valid"`
	Why       string  `json:"why,omitempty"`
}
