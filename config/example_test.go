package config_test

import (
	"fmt"

	"github.com/sluiceproxy/sluice/config"
)

func ExampleLoad() {
	_, err := config.Load(config.Source{
		Name: "sluice.yaml",
		Text: []byte("version: 1\nlisteners: [{name: web, address: \":8080\"}]\npolicy: {dir: policy}\ndrain: {timeout: 40s}\n"),
		Env:  []string{"SLUICE_LAME_DUCK_MIN=3"},
	})
	fmt.Println(err)
	// Output:
	// SLUICE_LAME_DUCK_MIN error [needs-unit] lame_duck.min: number 3 needs a unit, for example "3s"
	// sluice.yaml:4:18     error [stop-budget] drain.timeout: a stop takes up to 55s = lame_duck.max 10s + closing listeners 3s + drain.timeout 40s + drain.flush 2s + drain.linger 0s, but platform.stop_timeout is 30s; raise that to 55s (and the platform's own limit with it), or lower drain.timeout to 15s
	//    2 | listeners: [{name: web, address: ":8080"}]
	//    3 | policy: {dir: policy}
	// >  4 | drain: {timeout: 40s}
	//                         ^
	// 2 errors in 2 files; nothing was changed.
}

func ExampleConfig_Settings() {
	cfg, err := config.Load(config.Source{Listen: ":8080", PolicyElsewhere: true, Env: []string{"SLUICE_LOG_FORMAT=json"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range cfg.Settings() {
		if s.Path == "listeners[0].address" || s.Path == "log.format" || s.Path == "drain.timeout" {
			fmt.Println(s.Path, s.Value, s.Origin)
		}
	}
	// Output:
	// listeners[0].address :8080 --listen
	// drain.timeout 15s default
	// log.format json SLUICE_LOG_FORMAT
}
