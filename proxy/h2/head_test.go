package h2

import (
	"strings"
	"testing"
)

// requests holds request heads and the reason why each is malformed, "" if it is not. RFC 9113 section 8, RFC 8441.
var requests = []struct {
	why  Reason
	rfc  string
	list string // separated by |
}{
	{"", "8.3.1", ":method=GET|:scheme=http|:path=/|:authority=x"},
	{"", "8.3.1", ":path=/a?b|:authority=x:80|:scheme=https|:method=PATCH"},
	{"", "8.3.1", ":method=GET|:scheme=http|:path=/|host=x"},
	{"", "8.3.1", ":method=GET|:scheme=http|:path=/|:authority=X.example|host=x.EXAMPLE"},
	{"", "8.3.1", ":method=OPTIONS|:scheme=http|:path=*|:authority=x"},
	{"", "8.2.2", ":method=GET|:scheme=http|:path=/|:authority=x|te=trailers"},
	{"", "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a=|b=a b\tc|c=\xc3\xa9|d=\"x\""},
	{"", "8.5", ":method=CONNECT|:authority=x:443"},
	{"", "8441-4", ":method=CONNECT|:protocol=websocket|:scheme=https|:path=/chat|:authority=x"},
	{"", "8.1.1", ":method=POST|:scheme=http|:path=/|:authority=x|content-length=0"},

	{MalformedPseudo, "8.3", ":method=GET|:scheme=http|:path=/|:authority=x|:extra=1"},
	{MalformedPseudo, "8.3", ":method=GET|:scheme=http|:path=/|:authority=x|:status=200"},
	{MalformedPseudo, "8.3", ":method=GET|:method=GET|:scheme=http|:path=/|:authority=x"},
	{MalformedPseudo, "8.3", ":method=GET|:scheme=http|:path=/|:path=/b|:authority=x"},
	{MalformedPseudo, "8.3", ":method=GET|:scheme=http|:path=/|:authority=x|:authority=x"},
	{MalformedPseudo, "8.3", ":method=GET|a=b|:scheme=http|:path=/|:authority=x"},
	{MalformedPseudo, "8.3.1", ":scheme=http|:path=/|:authority=x"},
	{MalformedPseudo, "8.3.1", ":method=GET|:path=/|:authority=x"},
	{MalformedPseudo, "8.3.1", ":method=GET|:scheme=http|:authority=x"},
	{MalformedPseudo, "8.3.1", ":method=GET|:scheme=http|:path=|:authority=x"},
	{MalformedPseudo, "8.3.1", ":method=GET|:scheme=http|:path=/|:authority="},
	{MalformedPseudo, "8.3", ":method=|:scheme=http|:path=/|:authority=x"},
	{MalformedPseudo, "8.3", ":Method=GET|:scheme=http|:path=/|:authority=x"},
	{MalformedPseudo, "8.3", ":=GET|:scheme=http|:path=/|:authority=x"},
	{MalformedPseudo, "10.3", ":method=GET|:scheme=http|:path=/a b|:authority=x"},
	{MalformedPseudo, "10.3", ":method=GET|:scheme=http|:path=/\r\nx: y|:authority=x"},
	{MalformedPseudo, "10.3", ":method=GET|:scheme=http|:path=/|:authority=x\r\nx: y"},
	{MalformedPseudo, "10.3", ":method=GET / HTTP/1.1|:scheme=http|:path=/|:authority=x"},
	{MalformedPseudo, "10.3", ":method=GET|:scheme=http|:path=/\x00|:authority=x"},
	{MalformedPseudo, "8.3.1", "a=b"},
	{MalformedPseudo, "8.3.1", ""},
	{MalformedMethod, "8.3.1", ":method=G(T|:scheme=http|:path=/|:authority=x"},
	{MalformedMethod, "8.3.1", ":method=GET:|:scheme=http|:path=/|:authority=x"},
	{MalformedScheme, "8.3.1", ":method=GET|:scheme=ftp|:path=/|:authority=x"},
	{MalformedScheme, "8.3.1", ":method=GET|:scheme=HTTP|:path=/|:authority=x"},
	{MalformedScheme, "8.3.1", ":method=GET|:scheme=http://y/?|:path=/|:authority=x"},
	{MalformedPath, "8.3.1", ":method=GET|:scheme=http|:path=a|:authority=x"},
	{MalformedPath, "8.3.1", ":method=GET|:scheme=http|:path=*|:authority=x"},
	{MalformedPath, "8.3.1", ":method=GET|:scheme=http|:path=http://y/|:authority=x"},
	{MalformedPath, "8.3.1", ":method=OPTIONS|:scheme=http|:path=**|:authority=x"},
	{MalformedHost, "8.3.1", ":method=GET|:scheme=http|:path=/"},
	{MalformedHost, "8.3.1", ":method=GET|:scheme=http|:path=/|host="},
	{MalformedHost, "8.3.1", ":method=GET|:scheme=http|:path=/|:authority=x|host=y"},
	{MalformedHost, "8.3.1", ":method=GET|:scheme=http|:path=/|:authority=x|host=x:80"},
	{MalformedHost, "8.3.1", ":method=GET|:scheme=http|:path=/|:authority=x|host=x|host=x"},
	{MalformedName, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|A=b"},
	{MalformedName, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|=b"},
	{MalformedName, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a b=c"},
	{MalformedName, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a:b=c"},
	{MalformedName, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a\r\nb=c"},
	{MalformedName, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|\xc3\xa9=c"},
	{MalformedName, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|Content-Length=5"},
	{MalformedValue, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a=b\r\nc: d"},
	{MalformedValue, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a=b\nc"},
	{MalformedValue, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a=b\x00"},
	{MalformedValue, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a=b\x7f"},
	{MalformedValue, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a= b"},
	{MalformedValue, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a=b\t"},
	{MalformedValue, "8.2.1", ":method=GET|:scheme=http|:path=/|:authority=x|a= "},
	{MalformedValue, "8.2.3", ":method=GET|:scheme=http|:path=/|:authority=x|cookie=a=1|cookie= b=2"},
	{MalformedValue, "8.2.3", ":method=GET|:scheme=http|:path=/|:authority=x|cookie=a=1|cookie=b=2\r\nx: y"},
	{MalformedHop, "8.2.2", ":method=GET|:scheme=http|:path=/|:authority=x|connection=close"},
	{MalformedHop, "8.2.2", ":method=GET|:scheme=http|:path=/|:authority=x|connection="},
	{MalformedHop, "8.2.2", ":method=GET|:scheme=http|:path=/|:authority=x|proxy-connection=close"},
	{MalformedHop, "8.2.2", ":method=GET|:scheme=http|:path=/|:authority=x|keep-alive=timeout=5"},
	{MalformedHop, "8.2.2", ":method=POST|:scheme=http|:path=/|:authority=x|transfer-encoding=chunked"},
	{MalformedHop, "8.2.2", ":method=GET|:scheme=http|:path=/|:authority=x|upgrade=h2c"},
	{MalformedHop, "8.2.2", ":method=GET|:scheme=http|:path=/|:authority=x|te=gzip"},
	{MalformedHop, "8.2.2", ":method=GET|:scheme=http|:path=/|:authority=x|te=trailers, gzip"},
	{MalformedLength, "8.1.1", ":method=POST|:scheme=http|:path=/|:authority=x|content-length=5"}, // it ends here
	{MalformedLength, "8.1.1", ":method=POST|:scheme=http|:path=/|:authority=x|content-length=0|content-length=0"},
	{MalformedLength, "8.1.1", ":method=POST|:scheme=http|:path=/|:authority=x|content-length=0, 0"},
	{MalformedLength, "8.1.1", ":method=POST|:scheme=http|:path=/|:authority=x|content-length=+0"},
	{MalformedLength, "8.1.1", ":method=POST|:scheme=http|:path=/|:authority=x|content-length=-1"},
	{MalformedLength, "8.1.1", ":method=POST|:scheme=http|:path=/|:authority=x|content-length="},
	{MalformedLength, "8.1.1", ":method=POST|:scheme=http|:path=/|:authority=x|content-length=0x0"},
	{MalformedLength, "8.1.1", ":method=POST|:scheme=http|:path=/|:authority=x|content-length=99999999999999999999"},
	{MalformedConnect, "8.5", ":method=CONNECT"},
	{MalformedConnect, "8.5", ":method=CONNECT|host=x:443"},
	{MalformedConnect, "8.5", ":method=CONNECT|:authority=x:443|:path=/"},
	{MalformedConnect, "8.5", ":method=CONNECT|:authority=x:443|:scheme=https"},
	{MalformedConnect, "8.5", ":method=CONNECT|:authority=x:443|content-length=0"},
	{MalformedConnect, "8441-4", ":method=GET|:protocol=websocket|:scheme=https|:path=/chat|:authority=x"},
	{MalformedConnect, "8441-4", ":method=CONNECT|:protocol=web socket|:scheme=https|:path=/chat|host=x"},
	{MalformedPseudo, "8441-4", ":method=CONNECT|:protocol=websocket|:authority=x"},
	{MalformedPseudo, "8441-4", ":method=CONNECT|:protocol=websocket|:scheme=https|:authority=x"},
}

func TestRequests(t *testing.T) {
	for _, tc := range requests {
		c, r := newServer(Config{ExtendedConnect: true})
		out := newReader(t)
		out.sent(c)
		var list []string
		if tc.list != "" {
			list = strings.Split(tc.list, "|")
		}
		p := newScript(true)
		if err := c.Receive(p.headers(1, true, list...).get(3).take(), 0); err != nil {
			t.Errorf("%q: %v", tc.list, err)
			continue
		}
		got := r.events()
		sent := out.sent(c)
		if tc.why == "" {
			if !strings.Contains(got, "head 1") || strings.Contains(sent, "RST") {
				t.Errorf("%s: %q is refused: %s", tc.rfc, tc.list, got)
			}
			continue
		}
		why := tc.why
		if strings.Contains(tc.list, "web socket") { // a space is found earlier
			why = MalformedPseudo
		}
		if strings.Contains(got, "head 1") || !strings.Contains(got, "refused 1 "+string(why)) ||
			!strings.Contains(sent, "RST_STREAM 1 PROTOCOL_ERROR") {
			t.Errorf("%s: %q: want %s, events %q, sent %q", tc.rfc, tc.list, why, got, sent)
		}
		if !strings.Contains(got, "head 3") {
			t.Errorf("%q: the connection does not go on", tc.list)
		}
	}
}

// Without ExtendedConnect nobody may use :protocol.
func TestProtocolMustBeOffered(t *testing.T) {
	c, r := newServer(Config{})
	p := newScript(true).headers(1, false, ":method=CONNECT", ":protocol=websocket", ":scheme=https", ":path=/", ":authority=x")
	if err := c.Receive(p.take(), 0); err != nil || r.events() != "settings\nrefused 1 connect" {
		t.Errorf("%v", err)
	}
}

// responses holds response heads to a GET, with why each is malformed. RFC 9113 section 8.3.2.
var responses = []struct {
	why  Reason
	list string
	end  bool
}{
	{"", ":status=200|content-length=5", false},
	{"", ":status=200", true},
	{"", ":status=304|content-length=5", true},
	{"", ":status=204", true},
	{"", ":status=599|set-cookie=a|set-cookie=b", true},
	{"", ":status=103|link=x", false},
	{MalformedPseudo, "a=b", true},
	{MalformedPseudo, "", true},
	{MalformedPseudo, ":status=200|:status=200", true},
	{MalformedPseudo, ":method=GET|:scheme=http|:path=/|:authority=x", true},
	{MalformedPseudo, ":status=200|:path=/", true},
	{MalformedPseudo, "a=b|:status=200", true},
	{MalformedStatus, ":status=", true},
	{MalformedStatus, ":status=20", true},
	{MalformedStatus, ":status=2000", true},
	{MalformedStatus, ":status=2x0", true},
	{MalformedStatus, ":status=099", true},
	{MalformedStatus, ":status=200 OK", true},
	{MalformedStatus, ":status=101", false},
	{MalformedOrder, ":status=100", true},
	{MalformedLength, ":status=200|content-length=5", true},
	{MalformedLength, ":status=200|content-length=5|content-length=5", false},
	{MalformedHop, ":status=200|transfer-encoding=chunked", false},
	{MalformedHop, ":status=200|connection=close", false},
	{MalformedName, ":status=200|Server=x", false},
	{MalformedValue, ":status=200|a=b\r\nc: d", false},
}

func TestResponses(t *testing.T) {
	for _, tc := range responses {
		c, r := newClient(Config{})
		s, err := c.Open(fieldsOf(getFields...), true)
		if err != nil {
			t.Fatal(err)
		}
		_ = s
		out := newReader(t)
		out.sent(c)
		var list []string
		if tc.list != "" {
			list = strings.Split(tc.list, "|")
		}
		if err := c.Receive(newScript(false).headers(1, tc.end, list...).take(), 0); err != nil {
			t.Errorf("%q: %v", tc.list, err)
			continue
		}
		got, sent := r.events(), out.sent(c)
		if tc.why == "" && (strings.Contains(got, "reset") || strings.Contains(sent, "RST")) {
			t.Errorf("%q: %s", tc.list, got)
		}
		if want := "reset 1 PROTOCOL_ERROR local=true unprocessed=false " + string(tc.why); tc.why != "" &&
			(!strings.HasSuffix(got, want) || strings.Contains(got, "head") || !strings.Contains(sent, "RST_STREAM 1 PROTOCOL_ERROR")) {
			t.Errorf("%q: want %s, events %q, sent %q", tc.list, tc.why, got, sent)
		}
	}
}

// A body is as long as its head said, or the stream is reset before the byte too many is shown (RFC 9113 section 8.1.1).
func TestContentLength(t *testing.T) {
	for name, tc := range map[string]struct {
		script func(p *script)
		want   string // the last event
	}{
		"exact":          {func(p *script) { p.post(1, "content-length=4").data(1, false, 3).data(1, true, 1) }, "data 1 1 end"},
		"exact, empty":   {func(p *script) { p.post(1, "content-length=4").data(1, false, 4).data(1, true, 0) }, "data 1 0 end"},
		"exact, trailer": {func(p *script) { p.post(1, "content-length=4").data(1, false, 4).headers(1, true, "a=b") }, "trailers 1 a=b"},
		"long":           {func(p *script) { p.post(1, "content-length=4").data(1, false, 5) }, "reset"},
		"long, at last":  {func(p *script) { p.post(1, "content-length=4").data(1, false, 4).data(1, true, 1) }, "reset"},
		"short":          {func(p *script) { p.post(1, "content-length=4").data(1, true, 3) }, "reset"},
		"short, trailer": {func(p *script) { p.post(1, "content-length=4").data(1, false, 3).headers(1, true, "a=b") }, "reset"},
		"zero":           {func(p *script) { p.post(1, "content-length=0").data(1, true, 1) }, "reset"},
		"padded": {func(p *script) {
			p.post(1, "content-length=4").fr.WriteDataPadded(1, true, []byte("abcd"), make([]byte, 10))
		}, "data 1 4 end"},
	} {
		c, r := newServer(Config{})
		p := newScript(true)
		tc.script(p)
		if err := c.Receive(p.take(), 0); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := tc.want
		if want == "reset" {
			want = "reset 1 PROTOCOL_ERROR local=true unprocessed=false content_length"
		}
		if got := r.events(); !strings.HasSuffix(got, want) || strings.HasSuffix(tc.want, "reset") && strings.Contains(got, "end") {
			t.Errorf("%s: events %q, want %q at the end", name, got, want)
		}
	}
}

// Answers to HEAD, 204 and 304 have no body, whatever they say.
func TestBodilessResponses(t *testing.T) {
	for _, tc := range []struct{ method, status string }{{"HEAD", "200"}, {"GET", "204"}, {"GET", "304"}} {
		c, r := newClient(Config{})
		if _, err := c.Open(fieldsOf(":method="+tc.method, ":scheme=http", ":authority=x", ":path=/"), true); err != nil {
			t.Fatal(err)
		}
		p := newScript(false).headers(1, false, ":status="+tc.status, "content-length=5").data(1, true, 0)
		if err := c.Receive(p.take(), 0); err != nil || !strings.HasSuffix(r.events(), "data 1 0 end") {
			t.Errorf("%v: %v", tc, err)
		}
		c, r = newClient(Config{})
		if _, err := c.Open(fieldsOf(":method="+tc.method, ":scheme=http", ":authority=x", ":path=/"), true); err != nil {
			t.Fatal(err)
		}
		p = newScript(false).headers(1, false, ":status="+tc.status, "content-length=5").data(1, true, 5)
		if err := c.Receive(p.take(), 0); err != nil || !strings.HasSuffix(r.events(), "content_length") {
			t.Errorf("%v with a body: %v", tc, err)
		}
	}
}
