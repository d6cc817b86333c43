package h1

import "testing"

func BenchmarkRequest(b *testing.B) {
	raw := []byte("GET /api/v1/items?limit=10 HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n" +
		"Accept-Encoding: gzip, br\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef\r\nConnection: keep-alive\r\n" +
		"X-Request-Id: 0123456789abcdef\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n")
	var r Request
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := r.Parse(raw, Limits{}); n == 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	raw := []byte("HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 15:00:00 GMT\r\nContent-Type: application/json\r\n" +
		"Content-Length: 1024\r\nConnection: keep-alive\r\nETag: \"0123456789\"\r\n\r\n")
	var r Response
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := r.Parse(raw, false, Limits{}); n == 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkChunks(b *testing.B) {
	raw := AppendLastChunk(AppendChunk(AppendChunk(nil, make([]byte, 4096)), make([]byte, 100)), nil)
	var body Body
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(BodyChunked, 0)
		for rest := raw; !body.Done(); {
			_, n, err := body.Next(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}
