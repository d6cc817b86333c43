package fleet

import "testing"

func TestBudget(t *testing.T) {
	for _, c := range []struct {
		text         string
		replicas, of int
	}{
		{"1", 0, 1}, {"1", 100, 1}, {"3", 2, 3},
		{"10%", 100, 10}, {"10%", 19, 1}, {"10%", 20, 2}, {"10%", 3, 1}, {"100%", 7, 7}, {"33%", 10, 3}, {"1%", 0, 1},
	} {
		b, err := ParseBudget(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Of(c.replicas); got != c.of {
			t.Errorf("%s of %d is %d, want %d", c.text, c.replicas, got, c.of)
		}
		if b.String() != c.text {
			t.Errorf("%q reads back as %q", c.text, b)
		}
	}
	for _, bad := range []string{"", "0", "-1", "0%", "101%", "%", "1.5", "10 %", "all"} {
		if b, err := ParseBudget(bad); err == nil {
			t.Errorf("%q is %+v", bad, b)
		}
	}
	if (Budget{}).Of(10) != 1 {
		t.Error("the zero value is not one")
	}
}
