package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// Stop is the longest stop of a deployment: what the platform gives, and what the process
// does with it. Durations are in nanoseconds in JSON.
type Stop struct {
	Subject string        `json:"subject"`
	Limit   time.Duration `json:"limit"` // the platform's; 0: not known
	Setting string        `json:"setting,omitempty"`
	Planned time.Duration `json:"planned"` // platform.stop_timeout
	Spans   []config.Span `json:"spans"`
}

func (d *deployment) timeline() Stop {
	s := Stop{Subject: d.name, Planned: d.cfg.Platform.StopTimeout, Spans: d.cfg.Timeline()}
	if d.platform != bare && d.platform != docker && !d.stop.unknown {
		s.Limit, s.Setting = d.stop.limit(), d.stop.setting
	}
	return s
}

// sprintfPort writes a port into a remedy; the listener's default where it is not known.
func sprintfPort(format, port string) string {
	if port == "" {
		port = "9902"
	}
	if !strings.Contains(format, "%s") {
		return format
	}
	return fmt.Sprintf(format, port)
}
