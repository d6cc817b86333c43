package yaml

import "testing"

// A colon inside a plain scalar of a flow collection separates nothing.
func TestColonInFlowScalar(t *testing.T) {
	for _, tt := range []struct{ src, path, want string }{
		{"a: [127.0.0.1:9000]\n", "a[0]", "127.0.0.1:9000"},
		{"a: [127.0.0.1:9000, b:80, c]\n", "a[1]", "b:80"},
		{"a: [127.0.0.1:9000, b:80, c]\n", "a[2]", "c"},
		{"a: {b: {c: [x.example:443]}}\n", "a.b.c[0]", "x.example:443"},
		{"a: {b: x:1, c: 2}\n", "a.b", "x:1"},
		{"a: {b: x:1, c: 2}\n", "a.c", "2"},
		{"a: [1:2:3]\n", "a[0]", "1:2:3"},
		{"a: [unix:/run/x]\n", "a[0]", "unix:/run/x"},
		{"a: {\"b\":1}\n", "a.b", "1"},
		{"a: {b: 1}\n", "a.b", "1"},
		{"a: [b: 1]\n", "a[0].b", "1"},
		{"a:\n- b:80\n", "a[0]", "b:80"},
	} {
		doc, err := Parse("f", []byte(tt.src), Limits{})
		if err != nil {
			t.Errorf("%q: %v", tt.src, err)
			continue
		}
		n, rest, ok := step(doc.Root(), tt.path)
		for ok && rest != "" {
			n, rest, ok = step(n, rest)
		}
		if !ok || n.Text() != tt.want {
			t.Errorf("%q: %s = %q (%v), want %q", tt.src, tt.path, n.Text(), n.Kind(), tt.want)
		}
	}
}
