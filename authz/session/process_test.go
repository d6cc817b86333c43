package session

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHelperProcess is no test: it is the other process of those below.
func TestHelperProcess(t *testing.T) {
	file, name := os.Getenv("SESSION_TEST_LIST"), os.Getenv("SESSION_TEST_NAME")
	if file == "" {
		t.Skip("started by other tests")
	}
	if name == "half" { // dies in the middle of a line
		err := locked(file, func() error {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			if _, err := f.WriteString(`{"kind":"sid","value":"half","bef`); err != nil {
				return err
			}
			fmt.Println("added half")
			select {} // until it is killed
		})
		t.Fatal(err)
	}
	l := NewList(ListConfig{File: file})
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-%d", name, i)
		if err := l.Add(t.Context(), Revocation{Kind: SID, Value: id}); err != nil {
			fmt.Println("failed", err)
			return
		}
		fmt.Println("added", id)
	}
}

// killed runs the other process until it has confirmed so many revocations, kills it, and returns those.
func killed(t *testing.T, file, name string, confirmed int) (ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestHelperProcess$")
	c.Env = append(os.Environ(), "SESSION_TEST_LIST="+file, "SESSION_TEST_NAME="+name)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	for in := bufio.NewScanner(out); in.Scan(); {
		if id, ok := strings.CutPrefix(in.Text(), "added "); ok {
			ids = append(ids, id)
		} else {
			t.Errorf("%s: %s", name, in.Text())
		}
		if len(ids) == confirmed {
			_ = c.Process.Kill() // and reads on: what it has confirmed meanwhile counts as well
		}
	}
	_ = c.Wait() // killed
	return ids
}

// Processes that are killed while they write lose nothing that they have confirmed, and spoil nothing.
func TestKilledWriters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	l := onFile(file)
	synced(t, l)
	var all []string
	var mu sync.Mutex // guards all
	for round := range 3 {
		var writers sync.WaitGroup
		for w := range 3 {
			writers.Go(func() {
				ids := killed(t, file, fmt.Sprintf("w%d.%d", round, w), 10+20*w)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, ids...)
			})
		}
		writers.Go(func() { killed(t, file, "half", 1) })
		writers.Wait()
		synced(t, l) // a partial line may be there
		add(t, l, fmt.Sprint("after ", round))
	}
	synced(t, l)
	fresh := onFile(file)
	synced(t, fresh)
	for _, id := range all {
		if !ended(l, id) || !ended(fresh, id) {
			t.Errorf("%s was confirmed, and is not ended", id)
		}
	}
	if len(all) < 3*90 || ended(fresh, "half") || !ended(fresh, "after 2") {
		t.Errorf("%d confirmed; half a line: %v", len(all), ended(fresh, "half"))
	}
}
