package lifecycle_test

import (
	"context"
	"fmt"

	"github.com/sluiceproxy/sluice/lifecycle"
)

// printer is a service that says what it is asked for.
type printer string

func (p printer) Name() string                { return string(p) }
func (p printer) Start(context.Context) error { fmt.Println("start", p); return nil }
func (p printer) Admit() error                { fmt.Println("admit", p); return nil }
func (p printer) LameDuck()                   { fmt.Println("lame duck", p) }
func (p printer) Drain(context.Context) error { fmt.Println("drain", p); return nil }
func (p printer) Close() error                { fmt.Println("close", p); return nil }

func Example() {
	m := lifecycle.New(lifecycle.Config{LameDuckMin: -1, LameDuckMax: -1}) // no lame duck: a short example
	m.Register(printer("syncer"))
	m.Register(printer("proxy"))
	policy := m.Target("policy.sync.initial")

	ctx, stop := context.WithCancel(context.Background())
	go policy.Ready() // whoever knows, says so
	go func() {
		state, changed := m.Watch()
		for state != lifecycle.Serving {
			<-changed
			state, changed = m.Watch()
		}
		stop() // counts as SIGTERM
	}()
	fmt.Println(m.Run(ctx))
	// Output:
	// start syncer
	// start proxy
	// admit syncer
	// admit proxy
	// drain proxy
	// drain syncer
	// close proxy
	// close syncer
	// <nil>
}
