// Package replica starts, watches, stops and replaces the proxies under test, and says when
// each was in which phase.
//
//	l := replica.Sluice{Binary: "bin/sluice"}
//	in, err := l.Start(ctx, replica.Spec{Name: "a.1", Dir: dir, Web: "127.0.0.1:18080", Settings: settings})
//	before, err := in.Identity(ctx)
//	err = in.Stop(ctx)                    // in good order, to its end
//	fmt.Println(in.Timeline().At(t))      // ready, lame duck, draining, gone
//
// A Launcher is a kind of proxy; package peers has the others. Guarantees: a process that
// was started is gone after Kill, whatever it did; its log is kept in its folder.
package replica
