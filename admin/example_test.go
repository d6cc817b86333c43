package admin_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
)

func Example() {
	dir, _ := os.MkdirTemp("", "admin")
	defer os.RemoveAll(dir)
	address := "unix:" + filepath.Join(dir, "s")

	registry, tracker := health.NewRegistry(health.Config{}), drain.New(drain.Config{})
	registry.SetProcess(health.ProcessServing, "admitted")
	server, err := admin.NewServer(admin.Config{Address: address, Hooks: admin.Hooks{
		Health: registry.Snapshot, Tracker: tracker.Stats,
		Policy: func() admin.Policy { return admin.Policy{Version: "17"} },
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	client, _ := admin.NewClient(admin.ClientConfig{Address: address})
	status, err := client.Status(context.Background())
	fmt.Println(status.Ready, status.Policy.Version, status.Connections, err)
	// Output: true 17 none <nil>
}
