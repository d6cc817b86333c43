package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sluiceproxy/sluice/bench/lab"
	"github.com/sluiceproxy/sluice/bench/lab/balance"
)

// attachFlags make roll load a fleet that somebody else runs.
type attachFlags struct {
	targets []string
	attach  lab.Attach
}

func (f *attachFlags) bind(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.targets, "target", nil, "do not start replicas, attach to one that runs: web=HOST:PORT[,name=NAME][,raw=HOST:PORT][,ready=URL]; may be repeated")
	fs.StringVar(&f.attach.Restart, "restart-cmd", "", "with --target: shell command that restarts; with {name}, {web} or {raw} in it, one target after the other")
	fs.StringVar(&f.attach.Identity, "identity-cmd", "", "with --target: shell command that prints who serves now, which proves the restart")
	fs.StringVar(&f.attach.UpstreamWeb, "upstream-listen", "", "with --target: where the lab's upstream listens, for the fleet to forward to")
	fs.StringVar(&f.attach.UpstreamRaw, "upstream-listen-raw", "", "with --target: the same for raw TCP")
	fs.StringVar(&f.attach.Path, "path", "", "with --target and an upstream that is not the lab's: what is asked for; 200 is right")
}

// parse gives the fleet; nil: none was named.
func (f *attachFlags) parse() (*lab.Attach, error) {
	if len(f.targets) == 0 {
		return nil, nil
	}
	for i, text := range f.targets {
		t := balance.Backend{Name: fmt.Sprintf("t%d", i+1)}
		for _, part := range strings.Split(text, ",") {
			key, value, ok := strings.Cut(part, "=")
			to := map[string]*string{"web": &t.Web, "name": &t.Name, "raw": &t.Raw, "ready": &t.Ready}[key]
			if !ok || to == nil {
				return nil, fmt.Errorf("target %q: %q is none of web=, name=, raw=, ready=", text, part)
			}
			*to = value
		}
		f.attach.Targets = append(f.attach.Targets, t)
	}
	return &f.attach, f.attach.Validate()
}
