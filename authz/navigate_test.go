package authz

import "testing"

func TestNavigates(t *testing.T) {
	const page = "text/html,application/xhtml+xml,*/*;q=0.8"
	for name, c := range map[string]struct {
		method string
		fields map[string]string
		want   bool
	}{
		"a browser":                        {"GET", map[string]string{"sec-fetch-mode": "navigate", "accept": page}, true},
		"a browser's HEAD":                 {"HEAD", map[string]string{"sec-fetch-mode": "navigate"}, true},
		"a browser without Fetch Metadata": {"GET", map[string]string{"accept": page}, true},
		"in other letters":                 {"GET", map[string]string{"accept": "Text/HTML"}, true},
		"a form":                           {"POST", map[string]string{"sec-fetch-mode": "navigate", "accept": page}, false},
		"a script":                         {"GET", map[string]string{"sec-fetch-mode": "cors", "accept": page}, false},
		"an old script":                    {"GET", map[string]string{"x-requested-with": "XMLHttpRequest", "accept": page}, false},
		"a WebSocket":                      {"GET", map[string]string{"upgrade": "websocket", "accept": page}, false},
		"a tool":                           {"GET", map[string]string{"accept": "*/*"}, false},
		"a call":                           {"POST", map[string]string{"content-type": "application/grpc"}, false},
		"nothing":                          {"GET", nil, false},
	} {
		fields := clonedFields{}
		for k, v := range c.fields {
			fields[k] = clonedField{[]byte(v), 1}
		}
		if got := (&Request{Method: c.method, Fields: fields}).Navigates(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if (&Request{}).Navigates() {
		t.Error("a TCP connection navigates")
	}
}
