package policysync_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
)

// target is ready once a policy is in force.
type target chan struct{}

func (t target) Ready()        { close(t) }
func (t target) Waiting(error) {}

func Example() {
	dir, _ := os.MkdirTemp("", "policy")
	defer os.RemoveAll(dir)
	_ = os.WriteFile(filepath.Join(dir, "app.yaml"), []byte("clusters: {app: {endpoints: ['127.0.0.1:9000']}}\nroutes: [{name: app, cluster: app}]\n"), 0o600)

	ready := make(target)
	syncer := policysync.New(policysync.Config{
		Source: policysync.NewDir(dir, policysync.Plain),
		Target: ready,
		Apply: func(_ context.Context, v policysync.Version, doc *policy.Document) error {
			fmt.Println("in force:", v.Number, doc.Routes[0].Name)
			return nil
		},
	})
	if err := syncer.Start(context.Background()); err != nil {
		fmt.Println(err)
	}
	defer syncer.Close()
	<-ready
	fmt.Println(syncer.Status().Version.Number)
	// Output:
	// in force: 1 app
	// 1
}
