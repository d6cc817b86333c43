package health_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/health"
)

func Example() {
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	r := health.NewRegistry(health.Config{Now: func() time.Time { return noon }})
	r.Declare(health.PolicySyncInitial, health.Required)
	r.Set(health.PolicySyncInitial, health.Starting, errors.New("no such file"))
	fmt.Println(r.Snapshot().Verdict(health.Ready))
	fmt.Println(r.Snapshot().Verdict(health.Live))

	r.Set(health.PolicySyncInitial, health.Running, nil, health.Attr{Key: "version", Value: "17"})
	r.SetProcess(health.ProcessServing, "policy 17 is in force")
	fmt.Println(r.Snapshot().Verdict(health.Ready))
	// Output:
	// not ready: Starting since 2030-01-01T12:00:00Z; policy.sync.initial STARTING since 2030-01-01T12:00:00Z: no such file
	// ok
	// ok
}
