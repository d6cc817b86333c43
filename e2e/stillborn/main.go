// Command stillborn is a successor that fails in one of several ways, so that the tests of
// the hand-over can show that the service goes on. Which one, a file beside it says, since
// its arguments are those of the product.
//
//	hang       never says anything, and ignores SIGTERM
//	unready    says that it waits for a policy, for ever
//	exit       says READY with a policy of its own, and exits in good order
//	accept     says READY, and exits the moment that it is told to take over
//	fails      says READY, and once it is told to take over that something broke; then it waits
//	           until it hears that its predecessor keeps the sockets, and exits
//	silent     says READY and that it reports, and nothing ever again; it ignores SIGTERM
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	how, err := os.ReadFile(os.Args[0] + ".how")
	if err == nil {
		err = fail(strings.TrimSpace(string(how)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stillborn:", err)
		os.Exit(4)
	}
}

func fail(how string) error {
	switch how {
	case "hang":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Minute)
	case "unready":
		return say(`X_SLUICE_REPORT={"taken":["web","raw"],"waiting":"a policy that never comes"}`, time.Minute)
	case "exit":
		return say("READY=1\n"+policy, 0)
	case "accept":
		if err := say("READY=1\n"+policy, 0); err != nil {
			return err
		}
		return heard('S')
	case "fails":
		err := say("READY=1\n"+policy, 0)
		if err == nil {
			err = heard('S')
		}
		if err == nil {
			err = say("STOPPING=1\n"+strings.Replace(policy, "{", `{"stopping":true,"failed":true,"reason":"run proxy: it broke",`, 1), 0)
		}
		if err == nil {
			err = heard('K')
		}
		return err
	case "silent":
		signal.Ignore(syscall.SIGTERM)
		return say("READY=1\n"+strings.Replace(policy, "{", `{"steady":true,`, 1), time.Minute)
	default:
		return fmt.Errorf("%q is none of hang, unready, exit, accept, fails, silent", how)
	}
	return nil
}

// policy is one that cannot be compared with the predecessor's: it comes from elsewhere.
const policy = `X_SLUICE_REPORT={"taken":["web","raw","probes","admin"],"policy":{"source":"nowhere","hash":"abc"}}`

// say sends a notification and waits for a signal, or for so long.
func say(message string, wait time.Duration) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte(message)); err != nil {
		return err
	}
	time.Sleep(wait)
	return nil
}

// heard waits for a word in the link, which is the last descriptor.
func heard(word byte) error {
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil {
		return err
	}
	link := os.NewFile(uintptr(2+n), "link")
	for b := make([]byte, 1); b[0] != word; {
		if _, err := link.Read(b); err != nil {
			return err
		}
	}
	return nil
}
