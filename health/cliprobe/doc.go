// Package cliprobe is the client's side of a probe: what `sluice health` does. It needs
// no shell, so it serves container health checks of images that have none.
//
//	ctx := context.Background()
//	code := cliprobe.Check(ctx, cliprobe.Options{
//		Address: ":9902",            // as in the configuration: of this host
//		Probe:   health.Ready,
//		Exclude: []string{health.StorageBackend},
//		Wait:    30 * time.Second,   // ask again until it is so
//	}, os.Stdout, os.Stderr)
//	os.Exit(code)                    // 0: yes; 1: no, and stderr says why
//
// # Guarantees
//
// It always ends: each attempt within Timeout, all of them within Wait. It says yes only
// if the process itself said so: an answer with the right code that is not ours, a
// redirect, or one cut short is a no. No proxy of the environment is used: a probe never
// leaves for somewhere else.
package cliprobe
