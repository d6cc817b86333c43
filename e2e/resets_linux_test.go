package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"testing"
)

// resets watches the loopback interface for TCP resets, to say of each what it was. The
// kernel only counts them.
type resets struct {
	fd      int
	mu      sync.Mutex       // guards doors
	doors   map[uint16]whose // ports of listeners, open or closed
	running sync.WaitGroup
	quit    chan struct{} // closed by finish

	refused int      // answers to a SYN for which there is no listener
	left    int      // a client answers what finds it gone; or it met its own port in TIME_WAIT, resets that, and dials on
	aborts  int      // clients that closed before they had read all
	idle    int      // of a proxy to an upstream, or of one that is gone to a proxy
	behind  int      // of a door, to a client that spoke after the whole time in which the door waits for a client's end
	others  []string // anything else: what it looked like
}

// whose a door is.
type whose int

const (
	nobodys   whose = iota // no door
	proxys                 // or a balancer's: clients dial it
	upstreams              // proxies do
)

// watchResets begins to watch; only packets with RST come up. clients dial doors, and proxies behind.
func watchResets(t *testing.T, doors, behind []string) *resets {
	t.Helper()
	// Of no protocol nothing comes up, until the filter is there and the socket is bound.
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("watch for resets: %v", err)
	}
	const accept, drop = 0xffff, 0
	filter := []syscall.SockFilter{ // no IP options and no IPv6 extensions on this loopback
		{Code: syscall.BPF_LD + syscall.BPF_H + syscall.BPF_ABS, K: 12},
		{Code: syscall.BPF_JMP + syscall.BPF_JEQ + syscall.BPF_K, K: 0x0800, Jt: 0, Jf: 2},
		{Code: syscall.BPF_LD + syscall.BPF_B + syscall.BPF_ABS, K: 14 + 20 + 13},
		{Code: syscall.BPF_JMP + syscall.BPF_JSET + syscall.BPF_K, K: 4, Jt: 3, Jf: 4},
		{Code: syscall.BPF_JMP + syscall.BPF_JEQ + syscall.BPF_K, K: 0x86dd, Jt: 0, Jf: 3},
		{Code: syscall.BPF_LD + syscall.BPF_B + syscall.BPF_ABS, K: 14 + 40 + 13},
		{Code: syscall.BPF_JMP + syscall.BPF_JSET + syscall.BPF_K, K: 4, Jt: 0, Jf: 1},
		{Code: syscall.BPF_RET + syscall.BPF_K, K: accept},
		{Code: syscall.BPF_RET + syscall.BPF_K, K: drop},
	}
	const everything = 0x0300 // ETH_P_ALL in network order
	err = errors.Join(
		syscall.AttachLsf(fd, filter),
		syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: everything}),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Usec: 20_000}),
	)
	if err != nil {
		t.Fatalf("watch for resets: %v", err)
	}
	r := &resets{fd: fd, doors: map[uint16]whose{}, quit: make(chan struct{})}
	r.know(t, proxys, doors)
	r.know(t, upstreams, behind)
	r.running.Go(r.watch) // ends with quit
	t.Cleanup(r.finish)
	return r
}

// know tells it of more listeners.
func (r *resets) know(t *testing.T, owner whose, addrs []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, addr := range addrs {
		at, err := netip.ParseAddrPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		r.doors[at.Port()] = owner
	}
}

func (r *resets) watch() {
	buf := make([]byte, 256)
	for {
		n, from, err := syscall.Recvfrom(r.fd, buf, 0)
		if link, ok := from.(*syscall.SockaddrLinklayer); err == nil && ok && link.Pkttype != syscall.PACKET_OUTGOING {
			r.note(buf[:n])
		}
		if err != nil { // the time is over: nothing waits
			select {
			case <-r.quit:
				return
			default:
			}
		}
	}
}

func (r *resets) note(frame []byte) {
	tcp := frame[14+20:]
	if binary.BigEndian.Uint16(frame[12:]) == 0x86dd {
		tcp = frame[14+40:]
	}
	source, target := binary.BigEndian.Uint16(tcp), binary.BigEndian.Uint16(tcp[2:])
	seq, flags := binary.BigEndian.Uint32(tcp[4:]), tcp[13]
	const ack = 0x10
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case flags&ack != 0 && seq == 0:
		r.refused++
	case flags&ack == 0 && r.doors[source] == proxys:
		r.behind++
	case flags&ack == 0 && r.doors[source] == upstreams:
		r.idle++
	case r.doors[source] != nobodys:
		r.others = append(r.others, fmt.Sprintf("of a door: port %d to port %d, flags %#x, seq %d", source, target, flags, seq))
	case flags&ack == 0 && r.doors[target] != nobodys:
		r.left++
	case r.doors[target] == proxys:
		r.aborts++
	case r.doors[target] == upstreams:
		r.idle++
	default:
		r.others = append(r.others, fmt.Sprintf("port %d to port %d, flags %#x, seq %d", source, target, flags, seq))
	}
}

// finish joins the watcher; then its counts may be read. It may be called again.
func (r *resets) finish() {
	select {
	case <-r.quit:
		return
	default:
	}
	close(r.quit)
	r.running.Wait()
	_ = syscall.Close(r.fd)
}
