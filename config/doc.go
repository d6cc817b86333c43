// Package config is the operator's file: read strictly, completed from the environment
// and the command line, checked as a whole, and turned into the Config types of the
// packages that it configures. Only cmd imports it, and the doctor.
//
//	text, err := os.ReadFile("sluice.yaml")
//	cfg, err := config.Load(config.Source{Name: "sluice.yaml", Text: text, Env: os.Environ()})
//	if err != nil {
//		fmt.Fprint(os.Stderr, err) // every fault at once: place, excerpt, suggestion
//		os.Exit(2)
//	}
//	tracker := drain.New(cfg.DrainConfig())
//
// A value comes from a flag, else from the environment (SLUICE_DRAIN_TIMEOUT is
// drain.timeout), else from the file, else it is the default; [Config.Settings] says
// which. Unknown keys and unknown SLUICE_ variables are faults: a typo never loads.
// Secrets are never values here, only names of files (keys that end in _file).
//
// In the file a duration of 0 switches a thing off, where it may be off at all.
package config
