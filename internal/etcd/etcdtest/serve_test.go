package etcdtest

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestServe is the store as a process of its own, for the end-to-end tests: built with go test -c, run with ETCDTEST_SERVE=1. It
// prints its address, does what the lines of standard input say, each answered by "ok", and ends with them.
func TestServe(t *testing.T) {
	if os.Getenv("ETCDTEST_SERVE") == "" {
		t.Skip("only as a process of its own")
	}
	c := Start(t, 1)
	fmt.Println("endpoints", strings.Join(c.Endpoints(), ","))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); fmt.Println("ok") {
		switch in.Text() {
		case "down":
			c.Down()
		case "up":
			c.Up(t)
		default:
			t.Fatalf("no such switch: %q", in.Text())
		}
	}
}
