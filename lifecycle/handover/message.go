package handover

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// offerVariable holds the Offer in the environment of a successor.
const offerVariable = "SLUICE_HANDOVER"

// reportField carries a Report in a notification. Fields that begin with X_ are nobody
// else's (sd_notify(3)).
const reportField = "X_SLUICE_REPORT"

// linkName is the name of the descriptor over which the predecessor speaks. A dot is in no
// listener's name.
const linkName = "sluice.link"

// What a predecessor writes into the link. The end of it says that the predecessor is
// gone, and every copy of the sockets with it.
const (
	linkPermit  = 'P' // your policy will do: admit
	linkSwitch  = 'S' // I accept nothing any more: answer probes and admin
	linkConfirm = 'C' // I hold no socket any more: you are alone
	linkKeep    = 'K' // I keep the sockets: leave them
)

// Offer is what a predecessor tells its successor. Builds may differ: unknown fields are
// ignored, and a field never changes its meaning.
type Offer struct {
	Generation int      `json:"generation"` // of the successor
	PID        int      `json:"pid"`        // of the predecessor
	Supervisor string   `json:"supervisor"` // NOTIFY_SOCKET of whoever supervises; empty: nobody
	Sockets    []Held   `json:"sockets"`    // in the order of the descriptors
	Members    []Member `json:"members"`    // the predecessor, and who drains before it, oldest first
}

// Held is a listening socket as its holder knows it.
type Held struct {
	Name       string `json:"name"`
	Address    string `json:"address"`    // as configured: a moved unix socket does not know its own
	Supervised bool   `json:"supervised"` // systemd holds it too, for as long as it likes
}

// Member is a generation that drains, or will.
type Member struct {
	Generation int    `json:"generation"`
	PID        int    `json:"pid"`
	Control    string `json:"control"` // address of its control socket
	Secret     string `json:"secret"`  // opens it
}

// Report is what a successor says of itself, again and again until it is alone.
type Report struct {
	Taken   []string `json:"taken"` // sockets of the offer that it uses
	Policy  Version  `json:"policy"`
	Waiting string   `json:"waiting,omitempty"` // for what, while it is not ready
	// Stopping says that it stops, Reason why, and Failed that something went wrong: it was
	// not told to. One that may serve already leaves no socket before it heard who keeps it.
	Stopping bool   `json:"stopping,omitempty"`
	Failed   bool   `json:"failed,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Admin is where its private listener is, as a client wants it.
	Admin string `json:"admin,omitempty"`
	// Steady says that it reports every ReportEvery until it is alone, so that it hangs if
	// it does not. Builds before that did so too, and did not say it.
	Steady bool `json:"steady,omitempty"`
}

// ReportEvery is how often a successor tells its predecessor how it is, and Silence how
// long none comes before a successor on trial is taken to hang: long enough for a machine
// that is busy, because the connections of who is killed are lost.
const (
	ReportEvery = 200 * time.Millisecond
	Silence     = 15 * ReportEvery
)

// encode makes the assignment of a notification. JSON has no line ends.
func (r Report) encode() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic("BUG: a report is always JSON: " + err.Error())
	}
	return reportField + "=" + string(b)
}

// notice is a notification, read.
type notice struct {
	ready, stopping bool
	report          *Report // nil: none in this one
}

// parseNotice reads what is known and ignores the rest, as sd_notify(3) has it.
func parseNotice(text string) (n notice, err error) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch name {
		case "READY":
			n.ready = n.ready || value == "1"
		case "STOPPING":
			n.stopping = n.stopping || value == "1"
		case reportField:
			n.report = &Report{}
			if err := json.Unmarshal([]byte(value), n.report); err != nil {
				return notice{}, fmt.Errorf("read the report: %w", err)
			}
		}
	}
	return n, nil
}
