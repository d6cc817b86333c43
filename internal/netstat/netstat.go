// Package netstat reads the counters that the kernel keeps of TCP in a network namespace.
//
//	before, err := netstat.Read()
//	...
//	after, err := netstat.Read()
//	resets := after.Since(before, "Tcp", "OutRsts")
//
// The figures are those of the namespace of the calling process, read from
// /proc/self/net/snmp and /proc/self/net/netstat. They only grow. Elsewhere than on Linux
// Read fails with errors.ErrUnsupported.
package netstat

import (
	"errors"
	"strconv"
	"strings"
)

// Counters are what was read: by table ("Tcp", "TcpExt") and name.
type Counters map[string]map[string]uint64

// Get is a counter; false: this kernel has none of that name.
func (c Counters) Get(table, name string) (uint64, bool) {
	n, ok := c[table][name]
	return n, ok
}

// Since is by how much a counter grew after an earlier reading; 0 where either lacks it.
func (c Counters) Since(before Counters, table, name string) uint64 {
	now, ok := c.Get(table, name)
	then, had := before.Get(table, name)
	if !ok || !had || now < then {
		return 0
	}
	return now - then
}

// parse adds the tables of a text in which every second line has the values that the line
// before it names. Values that are no counters (Tcp: MaxConn is -1) are left out.
func (c Counters) parse(text string) error {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) == 0 || len(values) != len(names) || names[0] != values[0] {
			return errors.New("names and values of a table do not match")
		}
		table := strings.TrimSuffix(names[0], ":")
		if c[table] == nil {
			c[table] = make(map[string]uint64, len(names))
		}
		for j := 1; j < len(names); j++ {
			if n, err := strconv.ParseUint(values[j], 10, 64); err == nil {
				c[table][names[j]] = n
			}
		}
	}
	return nil
}
