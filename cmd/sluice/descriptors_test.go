package main

import (
	"log/slog"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

func TestConnectionsFitTheDescriptors(t *testing.T) {
	def := config.Default().Limits.MaxConnections
	for _, tt := range []struct {
		flag  string // limits.max_connections; empty: default
		limit uint64
		want  int // 0: an error
	}{
		{"", 1 << 20, def},
		{"", 1164, 500},
		{"", 164, 0},
		{"500", 1164, 500},
		{"501", 1164, 0},
	} {
		src := config.Source{Listen: "127.0.0.1:0", PolicyElsewhere: true, Flags: map[string]string{"engine.loops": "2"}}
		if tt.flag != "" {
			src.Flags["limits.max_connections"] = tt.flag
		}
		cfg, err := config.Load(src)
		if err != nil {
			t.Fatal(err)
		}
		err = fitDescriptors(cfg, tt.limit, slog.New(slog.DiscardHandler))
		if (err != nil) != (tt.want == 0) || err == nil && cfg.Limits.MaxConnections != tt.want {
			t.Errorf("%q of %d descriptors: %d, %v; want %d", tt.flag, tt.limit, cfg.Limits.MaxConnections, err, tt.want)
		}
	}
}
