package lifecycle

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

// With a real child: it shows as a zombie once it is dead, and is gone once reaped.
func TestReapRealZombie(t *testing.T) {
	path, err := exec.LookPath("true")
	if err != nil {
		t.Skip("no program to start:", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.StartProcess(path, []string{"tr) ue"}, &os.ProcAttr{Files: []*os.File{nil, w}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err == nil { // EOF: the child closed it, so it is about to be dead
		t.Fatal("the child wrote something")
	}
	r.Close()
	for !slices.Contains(zombies(), p.Pid) { // bounded by the test's own timeout
	}
	reap(p.Pid)
	if slices.Contains(zombies(), p.Pid) {
		t.Error("still a zombie")
	}
}
