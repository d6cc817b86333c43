package h1_test

import (
	"fmt"

	"github.com/sluiceproxy/sluice/proxy/h1"
)

func Example() {
	in := []byte("POST /a?b HTTP/1.1\r\nHost: x.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	var req h1.Request
	n, err := req.Parse(in, h1.Limits{})
	if err != nil {
		fmt.Printf("%s", h1.AppendError(nil, h1.ErrorResponse{Err: err.(*h1.Error), Close: true}))
		return
	}
	fmt.Printf("%s %s for %s\n", req.Method, req.Path, req.Host)
	var body h1.Body
	body.Reset(req.Body, req.Length)
	for rest := in[n:]; !body.Done(); {
		data, used, err := body.Next(rest)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("body %q\n", data)
		rest = rest[used:]
	}
	// Output:
	// POST /a for x.example
	// body "abc"
	// body ""
}
