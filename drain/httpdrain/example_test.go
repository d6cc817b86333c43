package httpdrain_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/drain/httpdrain"
)

// A server that loses nothing when it is stopped, behind balancers that ask /readyz.
func Example() {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })

	srv := httpdrain.Wrap(&http.Server{Addr: "127.0.0.1:0", Handler: mux}, httpdrain.Config{})
	mux.Handle("/readyz", srv.Ready())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go stop() // as if SIGTERM had come
	srv.Hurry()
	receipt, err := srv.ListenAndServe(ctx) // until SIGTERM, and then until everybody is gone

	fmt.Println(receipt.Clean(), err)
	// Output: true <nil>
}

// A second signal skips the lame duck, a third cuts what is left.
func ExampleServer_Hurry() {
	srv := httpdrain.Wrap(&http.Server{Addr: ":8080"}, httpdrain.Config{LameDuckMin: 10 * time.Second})
	again := make(chan struct{}) // stands for signal.Notify, after the first
	go func() {
		for range again {
			srv.Hurry()
		}
	}()
	close(again)
}

// What was in flight when the stop began is in the receipt.
func ExampleServer_Serve() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	asked := make(chan struct{})
	srv := httpdrain.Wrap(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		time.Sleep(50 * time.Millisecond) // work
		fmt.Fprint(w, "done all the same")
	})}, httpdrain.Config{LameDuckMin: -1, LameDuckMax: -1})

	ctx, stop := context.WithCancel(context.Background())
	answer := make(chan string)
	go func() {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + ln.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answer <- string(body)
	}()
	go func() {
		<-asked
		stop()
	}()
	receipt, err := srv.Serve(ctx, ln)
	fmt.Println(<-answer)
	fmt.Println(receipt.Exchanges.LameDuck+receipt.Exchanges.Draining, "finished,", receipt.CutTotal, "cut,", err)
	// Output:
	// done all the same
	// 1 finished, 0 cut, <nil>
}
