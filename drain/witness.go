package drain

import "time"

// Witness is what the kernel counted in the network namespace while a stop lasted: proof
// from somebody who does not believe us. Counts are differences between two readings.
type Witness struct {
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	// Own: the namespace is not the machine's, so the figures are of this container, pod
	// or unit. Otherwise they are shared with everything else on the machine, and prove
	// something only where they are 0.
	Own bool `json:"own_namespace"`

	OutRsts         uint64 `json:"tcp_out_rsts"`       // TcpOutRsts: resets sent, one for each refused dial among them
	AbortOnClose    uint64 `json:"tcp_abort_on_close"` // TCPAbortOnClose: closed with unread bytes
	AbortOnData     uint64 `json:"tcp_abort_on_data"`  // TCPAbortOnData: reset by us, or bytes came after the close
	ListenOverflows uint64 `json:"listen_overflows"`   // ListenOverflows: an accept queue was full
	ListenDrops     uint64 `json:"listen_drops"`       // ListenDrops: connections that a listener dropped
	SyncookiesSent  uint64 `json:"syncookies_sent"`    // SyncookiesSent: such handshakes are invisible
}
