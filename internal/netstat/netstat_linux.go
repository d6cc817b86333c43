package netstat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Read reads all counters of the network namespace.
func Read() (Counters, error) {
	c := Counters{}
	for _, name := range []string{"/proc/self/net/snmp", "/proc/self/net/netstat"} {
		text, err := os.ReadFile(name)
		if err == nil {
			err = c.parse(string(text))
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return c, nil
}

// OwnNamespace reports whether the network namespace is another than the one that the
// machine began with. The kernel shows some of net/core only there (net_core_table is
// registered for init_net alone), whatever process IDs and mounts can be seen.
func OwnNamespace() bool {
	_, here := os.Stat("/proc/sys/net/core/somaxconn")
	_, first := os.Stat("/proc/sys/net/core/netdev_budget")
	return here == nil && errors.Is(first, fs.ErrNotExist)
}
