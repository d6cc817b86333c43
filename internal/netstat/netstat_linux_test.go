package netstat

import (
	"net"
	"testing"
)

// A refused dial is answered by the kernel with one reset, and it counts it.
func TestReadCountsARefusedDial(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	before, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Skip("somebody else listens there now")
	}
	after, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	if n := after.Since(before, "Tcp", "OutRsts"); n < 1 {
		t.Errorf("%d resets, want at least 1", n)
	}
	for _, name := range []string{"TCPAbortOnClose", "TCPAbortOnData", "ListenOverflows", "ListenDrops", "SyncookiesSent"} {
		if _, ok := after.Get("TcpExt", name); !ok {
			t.Errorf("this kernel has no %s", name)
		}
	}
}
