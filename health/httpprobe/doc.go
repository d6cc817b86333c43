// Package httpprobe answers probes over HTTP from a health registry.
//
//	r := health.NewRegistry(health.Config{})
//	r.Declare(health.PolicySyncInitial, health.Required)
//	mux := http.NewServeMux()
//	mux.Handle("/", httpprobe.New(r, health.OurNames))
//	_ = (&http.Server{Addr: ":9902", Handler: mux, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe()
//
//	/startupz            has it ever been ready?
//	/readyz              should balancers send? flips at SIGTERM
//	/servingz            do we still accept?
//	/livez, /healthz     should a supervisor leave it alone?
//	/status              the whole report, always 200
//
// The body is "ok\n", or one line that names what fails, why and since when; with
// "Accept: application/json" or ?verbose it is JSON ([Answer], [Status]). ?exclude=check
// takes a check out of the verdict; it may be repeated.
//
// # Guarantees
//
// 200 or 503 and nothing between: whoever cannot parse a body can read the code. The
// content type is set before the status line. No answer is cached, none redirects, none
// is longer than [MaxBody]: what would be is shortened and says so.
//
// # Limits
//
// GET and HEAD only. At most 32 excludes count; one that names no check changes nothing
// and is listed in the JSON as unknown.
package httpprobe
