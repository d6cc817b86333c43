package h2_test

import (
	"fmt"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// echo answers each request with its path.
type echo struct{ h2.Events }

func (echo) Settings()       {}
func (echo) Done(*h2.Stream) {}
func (echo) Head(s *h2.Stream, fields []h2.Field, _ bool) {
	s.Head([]h2.Field{{Name: []byte(":status"), Value: []byte("200")}}, false)
	for _, f := range fields {
		if string(f.Name) == ":path" {
			s.Write(f.Value, true)
		}
	}
}

// show prints what comes back.
type show struct{ echo }

func (show) Head(s *h2.Stream, fields []h2.Field, _ bool) { fmt.Printf("status %s\n", fields[0].Value) }
func (show) Data(s *h2.Stream, b []byte, end bool)        { fmt.Printf("%s, end %v\n", b, end) }

func Example() {
	server := h2.New(h2.Config{}, echo{})
	client := h2.New(h2.Config{Client: true}, show{})
	_, err := client.Open([]h2.Field{
		{Name: []byte(":method"), Value: []byte("GET")},
		{Name: []byte(":scheme"), Value: []byte("http")},
		{Name: []byte(":authority"), Value: []byte("x.example")},
		{Name: []byte(":path"), Value: []byte("/hello")},
	}, true)
	for err == nil && (client.Wants() || server.Wants()) {
		if err = server.Receive(client.Append(nil, 64<<10), 0); err == nil {
			err = client.Receive(server.Append(nil, 64<<10), 0)
		}
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// status 200
	// /hello, end true
}
