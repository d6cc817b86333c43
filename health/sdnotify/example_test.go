package sdnotify_test

import (
	"context"
	"fmt"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/sdnotify"
)

func Example() {
	registry := health.NewRegistry(health.Config{})
	n := sdnotify.New(sdnotify.Config{
		Health: registry,
		Alive:  func() bool { return true }, // the loops turn
		Status: func() string { return "serving 12 connections" },
		Send:   func(message string) (bool, error) { return false, nil }, // as without NOTIFY_SOCKET
	})
	fmt.Println(n.Start(context.Background()))
	fmt.Println(n.Reload(func() error { return nil }))
	fmt.Println(n.Close())
	// Output:
	// <nil>
	// <nil>
	// <nil>
}
