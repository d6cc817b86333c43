package e2e

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// Peers that are gone, or take nothing, do not hold a drain; those that are slow do.

// deafen makes the kernel drop whatever comes for a connection, as if its other end had
// vanished: nothing is acknowledged any more, and nobody says goodbye.
func deafen(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	drop := []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K}}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = syscall.AttachLsf(int(fd), drop) }); err != nil || inner != nil {
		t.Skip("no filter can be attached here: ", err, inner)
	}
}

// TestG4PeersThatAreGoneDoNotHoldTheDrain: a client that reads nothing of its response, one
// that vanished in a tunnel, an upstream that vanished behind another. What is slow or just
// quiet finishes.
func TestG4PeersThatAreGoneDoNotHoldTheDrain(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{drain: "{timeout: 20s, idle_close: 500ms, peer_timeout: 1500ms}", extra: "platform: {stop_timeout: 45s}"})

	stuck := connected(t, s)
	if _, err := io.WriteString(stuck, get("/big")); err != nil {
		t.Fatal(err)
	}
	gone := tunnel(t, s, "raw", "")
	quiet := tunnel(t, s, "raw", "")
	slow := connected(t, s)
	slowly := make(chan error, 1)
	if err := slow.Conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(slow, get("/big")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are upstream", func() bool { return len(up.log("/big")) == 2 })
	deafen(t, gone.Conn)
	s.signal(t, syscall.SIGTERM)
	began := time.Now()
	go func() { slowly <- readSlowly(slow, 6*time.Second) }() // ends with the response
	eventually(t, "two are left: the slow one and the quiet one", func() bool { l := s.look(t).Holders.Total; return l.Active == 1 && l.Tunnel == 1 })
	if took := time.Since(began); took > 12*time.Second {
		t.Errorf("giving up took %v", took)
	}
	if err := <-slowly; err != nil {
		t.Errorf("a client that reads slowly: %v", err)
	}
	if _, err := io.WriteString(quiet, "ping"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(quiet.in, make([]byte, 4)); err != nil {
		t.Errorf("a tunnel that was quiet for longer than peer_timeout: %v", err)
	}
	_ = quiet.Close()
	if code := s.exit(t, patience); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	causes := map[string]int{}
	r := s.receipt(t)
	for _, c := range r.Cut {
		causes[c.Class+" "+c.Cause]++
	}
	if r.CutTotal != 2 || causes["active peer_stuck"] != 1 || causes["tunnel peer_gone"] != 1 {
		t.Errorf("the receipt names %+v", r.Cut)
	}
	if drainBegan, _ := r.phase("drain"); r.last().Sub(drainBegan) > 19*time.Second {
		t.Error("the drain was ended by its deadline")
	}
}

// readSlowly takes a little of a response each 100 ms for a while, and then the rest.
func readSlowly(w *wire, d time.Duration) error {
	_ = w.SetReadDeadline(time.Now().Add(3 * patience))
	buf := make([]byte, 8<<10)
	got := 0
	for end := time.Now().Add(d); time.Now().Before(end); {
		n, err := w.in.Read(buf)
		if got += n; err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond) // the pace of this reader, and no condition
	}
	rest, err := io.Copy(io.Discard, w.in)
	if got += int(rest); err == nil && got < 1<<10*(64<<10) {
		err = errShort
	}
	return err
}
