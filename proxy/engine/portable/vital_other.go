//go:build !linux

package portable

import (
	"net"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// vital is not known here.
func vital(net.Conn, time.Duration) (engine.Vital, bool) { return engine.Vital{}, false }
