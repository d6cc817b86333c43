// Package etcd opens the one client of etcd that a process has, and says how it is used: each
// request has a time limit, reads go to another member when one does not answer, watches ask
// for a leader, and nothing waits for the store at a start.
//
//	client, err := etcd.Open(etcd.Config{Endpoints: []string{"10.0.0.1:2379"}, CAFile: "ca.pem"})
//	if err != nil {
//		return err // a file that cannot be read, never a store that is away
//	}
//	defer client.Close()
//	err = client.Read(ctx, func(ctx context.Context) error {
//		answer, err = client.Get(ctx, client.Key("head")) // linearizable
//		return err
//	})
//
// # What is promised
//
// Open does not dial: a store that is away is an error of the requests, each within its limit. The
// password is read again for each login and the client's certificate for each handshake, so that both can be
// replaced without a restart; the authorities (CAFile) are read once. A password never leaves
// over a connection without TLS, but to this host. All keys are below a prefix.
package etcd
