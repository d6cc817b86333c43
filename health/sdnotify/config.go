package sdnotify

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/sluiceproxy/sluice/health"
)

// Config of a Notifier. Health and Alive are needed.
type Config struct {
	// Health is followed.
	Health *health.Registry
	// Alive says whether the accept, authorize and sync loops make progress. While it
	// is false, neither the watchdog is fed nor a timeout extended. It must return.
	Alive func() bool
	// Status is the line for STATUS=; nil: the verdict of the readiness probe.
	Status func() string
	// Exiting says whether a lame duck or a drain (a finished one included) ends with the
	// exit of the process; nil: always. It is asked when health changes, each Every, and by
	// Close. See the limits of the package.
	Exiting func() bool
	// Every is how often STATUS and the extended timeout are renewed (default 5s).
	Every time.Duration
	// Extend is by how much a timeout is extended each time (default 3 x Every).
	Extend time.Duration
	// Log is told when systemd cannot be; nil: nowhere.
	Log *slog.Logger

	// Send sends one message and reports whether there is anybody to send it to; nil:
	// daemon.SdNotify.
	Send func(message string) (sent bool, err error)
	// Watchdog is the interval within which systemd wants a sign of life (0: none); nil:
	// daemon.SdWatchdogEnabled.
	Watchdog func() (time.Duration, error)
}

// DefaultEvery is how often STATUS and the extended timeout are renewed.
const DefaultEvery = 5 * time.Second

func (c Config) withDefaults() Config {
	if c.Health == nil || c.Alive == nil {
		panic("BUG: sdnotify: Config.Health and Config.Alive are needed")
	}
	if c.Status == nil {
		registry := c.Health
		c.Status = func() string {
			v := registry.Snapshot().Verdict(health.Ready)
			if v.OK {
				return "serving"
			}
			return v.String()
		}
	}
	if c.Exiting == nil {
		c.Exiting = func() bool { return true }
	}
	if c.Every <= 0 {
		c.Every = DefaultEvery
	}
	if c.Extend <= 0 {
		c.Extend = 3 * c.Every
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Send == nil {
		c.Send = func(message string) (bool, error) { return daemon.SdNotify(false, message) }
	}
	if c.Watchdog == nil {
		c.Watchdog = func() (time.Duration, error) { return daemon.SdWatchdogEnabled(false) }
	}
	return c
}

// maxStatus bounds the text of STATUS, in bytes.
const maxStatus = 512

// status renders the STATUS assignment. A line end in the text would begin another
// assignment ("\nREADY=1" in an error, say), so control characters become spaces.
func status(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxStatus {
		text = strings.ToValidUTF8(text[:maxStatus-3], "") + "..."
	}
	return "STATUS=" + text
}

// reloading renders the message that begins a reload. systemd ignores one without the
// time, so that an answer to an earlier request is not taken for this one's
// (systemd.service(5), Type=notify-reload).
func reloading() string {
	return daemon.SdNotifyReloading + "\n" + strings.TrimSuffix(daemon.SdNotifyMonotonicUsec(), "\n")
}

// extend renders the extension of the timeout under way.
func extend(by time.Duration) string {
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", by.Microseconds())
}
