// Package goshutdown is the reverse proxy that most Go programs would be: net/http/httputil
// in front of an upstream, stopped by http.Server.Shutdown as its documentation says.
//
//	err := goshutdown.Run(ctx, goshutdown.Config{Listen: ":8080", To: "127.0.0.1:9000", Probes: ":9902",
//		Delay: 5 * time.Second, Grace: 15 * time.Second}) // ctx ends with SIGTERM
//
// It is a thing to compare with: hijacked connections (Upgrade) are not waited for, since
// Shutdown does not.
package goshutdown
