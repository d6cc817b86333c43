package httpprobe_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/httpprobe"
)

func Example() {
	r := registry() // health.NewRegistry, with a clock that stands still
	r.Declare(health.PolicySyncInitial, health.Required)
	r.SetProcess(health.ProcessServing, "admitted")
	r.Set(health.PolicySyncInitial, health.Failed, errors.New("no such file"))

	w := httptest.NewRecorder()
	httpprobe.New(r, health.OurNames).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output:
	// 503 not ready: Serving since 2030-01-01T12:00:00Z (admitted); policy.sync.initial FAILED since 2030-01-01T12:00:00Z: no such file
}
