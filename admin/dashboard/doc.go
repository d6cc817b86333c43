// Package dashboard is the operator's screen: the files of one page, and the streams of
// events that it lives from. What is shown, and who may see it, is the caller's to say.
//
//	files := dashboard.NewFiles(token != "")
//	streams := dashboard.NewStreams(dashboard.Config{Look: look})
//	mux.Handle("GET /dashboard/", files)
//	mux.HandleFunc("GET /dashboard/events", func(w http.ResponseWriter, r *http.Request) {
//		err := streams.Serve(w, r, mayStill) // ErrFull, ErrOver: nothing was written
//	})
//	streams.End(dashboard.Drained) // whoever looks gets a last look, and hears why it ends
//	streams.Close()                // before the server is closed
//
// # Guarantees
//
// The files hold nothing of the process, need no other host, no build and no inline script
// or style, and say so in their Content-Security-Policy.
//
// Looking is bounded: all streams share one look, and the next one waits for at least 50
// times as long as the last one took, so that looks take at most 2 % of one CPU however
// many watch. Streams are bounded in number, each event in the time that its reader takes
// for it; who takes longer is dropped. End and Close never wait: a stream has 100 ms for
// its last words.
//
// # Limits
//
// Streams speak HTTP/1.1 or whatever the server does; their handlers must be able to set
// write deadlines (http.ResponseController).
package dashboard
