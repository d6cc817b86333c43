package netstat

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	c := Counters{}
	err := c.parse("Tcp: MaxConn OutRsts\nTcp: -1 12\nTcpExt: SyncookiesSent ListenDrops\nTcpExt: 3 4\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		table, name string
		n           uint64
		known       bool
	}{{"Tcp", "OutRsts", 12, true}, {"TcpExt", "ListenDrops", 4, true}, {"Tcp", "MaxConn", 0, false}, {"Udp", "OutRsts", 0, false}} {
		if n, known := c.Get(want.table, want.name); n != want.n || known != want.known {
			t.Errorf("%s %s: %d %t, want %d %t", want.table, want.name, n, known, want.n, want.known)
		}
	}
	if err := c.parse("TcpExt: A SyncookiesSent\nTcpExt: 1 x\n"); err != nil || c["TcpExt"]["SyncookiesSent"] != 3 {
		t.Errorf("what is no number: %v, %v", err, c)
	}
	for _, text := range []string{"", "TcpExt: SyncookiesSent"} {
		if empty := (Counters{}); empty.parse(text) != nil || len(empty) != 0 {
			t.Errorf("%q gave %v", text, empty)
		}
	}
	later := Counters{"Tcp": {"OutRsts": 20}}
	if n := later.Since(c, "Tcp", "OutRsts"); n != 8 {
		t.Errorf("grew by %d, want 8", n)
	}
	if n := later.Since(c, "TcpExt", "ListenDrops"); n != 0 {
		t.Errorf("what is not there grew by %d", n)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"Tcp: A B\nTcp: 1\n", "Tcp: A\nUdp: 1\n", "Tcp: A\nTcp:\n"} {
		if err := (Counters{}).parse(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
