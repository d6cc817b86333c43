// Command grpc is grpc-go as a server and as a client of the proxy, for the tests in the folder above. It is a
// module of its own, so that what gRPC needs is needed by nobody else. Everything ends when standard input does.
//
//	grpc serve                    # the interop server; prints its address
//	grpc interop ADDRESS [CA]     # the interop cases, one line for each that passed
//	grpc load [-channels 6] [-pace 2ms] ADDRESS [CA]
//	                              # calls until standard input ends; then prints what became of them as JSON
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
)

// serverName is the name that the proxy's certificate stands for.
const serverName = "app.example.com"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "grpc:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve()
	case (len(args) == 2 || len(args) == 3) && args[0] == "interop":
		creds, err := trust(args[2:])
		if err != nil {
			return err
		}
		return cases(args[1], creds)
	case len(args) > 0 && args[0] == "load":
		var l loading
		flags := flag.NewFlagSet("load", flag.ContinueOnError)
		flags.IntVar(&l.channels, "channels", 6, "each has two callers of both kinds")
		flags.DurationVar(&l.pace, "pace", 2*time.Millisecond, "rest of a caller between two calls")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if rest := flags.Args(); len(rest) == 1 || len(rest) == 2 {
			var err error
			l.addr = rest[0]
			if l.creds, err = trust(rest[1:]); err != nil {
				return err
			}
			return l.run()
		}
	}
	return errors.New("usage: grpc serve | interop ADDRESS [CA] | load [-channels N] [-pace D] ADDRESS [CA]")
}

// trust makes credentials from the file of an authority; none: in the clear.
func trust(file []string) (grpc.DialOption, error) {
	if len(file) == 0 {
		return grpc.WithTransportCredentials(insecure.NewCredentials()), nil
	}
	text, err := os.ReadFile(file[0])
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file[0])
	}
	return grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: serverName})), nil
}

func serve() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	reflection.Register(s) // grpcurl asks what there is
	go func() {            // ends with standard input
		_, _ = io.Copy(io.Discard, os.Stdin)
		s.Stop()
	}()
	fmt.Println(ln.Addr())
	return s.Serve(ln)
}
