package cliprobe_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/cliprobe"
	"github.com/sluiceproxy/sluice/health/httpprobe"
)

func Example() {
	s := httptest.NewServer(httpprobe.New(registry(health.Running, nil), health.OurNames))
	defer s.Close()
	exit := cliprobe.Check(context.Background(), cliprobe.Options{
		Address: strings.TrimPrefix(s.URL, "http://"),
		Probe:   health.Ready,
	}, os.Stdout, os.Stderr)
	fmt.Println("exit", exit)
	// Output:
	// ok
	// exit 0
}
