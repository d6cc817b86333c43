package e2e

import (
	"fmt"
	"strings"
)

// computes asserts what the page makes of numbers, where it runs.
func (d *dash) computes() {
	d.t.Helper()
	// Looks at 0, 10 and 20 s: 100 requests, then 50, which took 5 to 10 ms, and one that never ended.
	d.eval(`(async () => {
		window.words = await import('/dashboard/words.js');
		const {History} = await import('/dashboard/rates.js');
		const look = (n, slow) => ({n, duration_bounds: [.005, .01], duration_buckets: [0, n, slow]});
		window.past = new History();
		window.never = new History();
		window.back = new History();
		past.add(0, look(0, 0)); past.add(10000, look(100, 0)); past.add(20000, look(150, 0)); past.add(20000, look(999, 0));
		back.add(0, look(100, 0)); back.add(1000, look(5, 7));
		window.n = t => t.n;
		return 'there';
	})()`)
	for _, c := range [][2]string{
		{"words.short(0)", "0 s"}, {"words.short(1234)", "1.2 s"}, {"words.short(9960)", "10 s"}, {"words.short(99600)", "2 min"},
		{"words.short(3*3600e3)", "3 h"}, {"words.short(100*3600e3)", "4 d"}, {"words.short(-5)", "0 s"},
		{"words.seconds(9.95)", "9.9 s"}, {"words.seconds(99.4)", "99 s"}, {"words.seconds(119.7)", "2 min 0 s"}, {"words.seconds(-1)", "0.0 s"},
		{"words.bytes(999)", "999 B"}, {"words.bytes(1000)", "1.0 KiB"}, {"words.bytes(1536)", "1.5 KiB"}, {"words.bytes(5e9)", "4.7 GiB"},
		{"words.count(1234567).split('\\u202f').join('_')", "1_234_567"}, {"words.plural(1, 'connection')", "1 connection"}, {"words.plural(2, 'connection')", "2 connections"},
		{"words.rate(null)", "–"}, {"words.rate(0)", "0"}, {"words.rate(.04)", "< 0.1"}, {"words.rate(3.14)", "3.1"}, {"words.rate(41.5)", "42"},
		{"words.classes({handshake: 1, idle: 0, active: 2, tunnel: 0})", "2 active, 1 handshake"}, {"words.classes({handshake: 0, idle: 0, active: 0, tunnel: 0})", "none"},
		{"past.rate(n)", "5"}, {"past.rate(n, 20000)", "7.5"}, {"past.rate(n, 1e6)", "7.5"}, {"never.rate(n)", "<nil>"}, {"back.rate(n)", "0"},
		{"past.grown(n, 60000).n", "150"},
		{"past.series(n, 4, 10000).map(String).join()", "null,null,10,5"}, {"never.series(n, 2, 1000).map(String).join()", "null,null"},
		{"past.series(n, 2, 5000).join()", "5,5"}, // between two looks in proportion
		{"past.quantile(.5).toFixed(4)", "0.0075"}, {"never.quantile(.5)", "<nil>"}, {"String(back.quantile(.99))", "Infinity"},
	} {
		if got := d.eval(c[0]); got != c[1] {
			d.t.Errorf("%s is %q, want %q", c[0], got, c[1])
		}
	}
	if strings.Contains(fmt.Sprint(d.faults), "/dashboard/") {
		d.t.Errorf("the console says %q", d.faults)
	}
}
