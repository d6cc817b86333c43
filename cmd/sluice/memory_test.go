package main

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestCgroupLimit(t *testing.T) {
	const (
		v1 = "30 25 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		v2 = "30 25 0:26 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
	)
	for name, c := range map[string]struct {
		cgroup, mounts string
		files          map[string]string
		want           int64 // 0: none
	}{
		"version 1":         {"4:memory:/a/b\n1:cpu:/x\n", v1, map[string]string{"memory/a/b/memory.limit_in_bytes": "1000", "memory/memory.limit_in_bytes": "9223372036854771712"}, 1000},
		"set above us":      {"4:memory:/a/b\n", v1, map[string]string{"memory/a/b/memory.limit_in_bytes": "1000", "memory/a/memory.limit_in_bytes": "900"}, 900},
		"none":              {"4:memory:/a\n", v1, map[string]string{"memory/a/memory.limit_in_bytes": "9223372036854771712"}, 0},
		"version 2":         {"0::/user.slice/a.scope\n", v2, map[string]string{"user.slice/a.scope/memory.max": "max\n", "user.slice/memory.max": "5000\n"}, 5000},
		"version 2, none":   {"0::/a\n", v2, map[string]string{"a/memory.max": "max\n"}, 0},
		"a container":       {"4:memory:/docker/77\n", "30 25 0:26 /docker/77 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", map[string]string{"memory/memory.limit_in_bytes": "700"}, 700},
		"a hidden ancestor": {"4:memory:/docker/77\n", "30 25 0:26 /../.. /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", map[string]string{"memory/memory.limit_in_bytes": "600"}, 600},
		"both":              {"4:memory:/a\n0::/b\n", v1 + "32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", map[string]string{"memory/a/memory.limit_in_bytes": "300"}, 300},
		"nothing mounted":   {"4:memory:/a\n", "", nil, 0},
		"nonsense":          {"4:memory\n::\n\n", "a b c\n - \n", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{"proc/self/cgroup": {Data: []byte(c.cgroup)}, "proc/self/mountinfo": {Data: []byte(c.mounts)}}
			for file, text := range c.files {
				root["sys/fs/cgroup/"+file] = &fstest.MapFile{Data: []byte(text)}
			}
			got, ok := cgroupLimit(root)
			if ok != (c.want != 0) || ok && got != c.want {
				t.Errorf("%d, %t; want %d", got, ok, c.want)
			}
		})
	}
	if _, ok := cgroupLimit(fstest.MapFS{}); ok {
		t.Error("a limit without /proc")
	}
}

// Generations live in one cgroup: each takes its part, and more when others are gone.
func TestGenerationsShareTheMemory(t *testing.T) {
	var got []int64
	m := &memory{limit: 1200, apply: func(n int64) { got = append(got, n) }}
	for _, processes := range []int{1, 2, 4, 3, 1, 0} {
		m.share(processes)
	}
	if want := []int64{1200, 600, 300, 400, 1200, 1200}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	none := &memory{apply: func(int64) { t.Error("a limit where there is none") }}
	none.share(3)
}
