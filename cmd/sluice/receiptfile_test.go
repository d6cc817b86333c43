package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// Each receipt has a file of its own, and the latest is where it was asked for; there are
// never more than some, and nothing else of the directory is touched.
func TestReceiptsAreKept(t *testing.T) {
	dir := t.TempDir()
	name, other := filepath.Join(dir, "receipt.json"), filepath.Join(dir, "receipt.json.note")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var own []string
	for i := range keptReceipts + 3 {
		r := drain.Receipt{Process: drain.Process{PID: 1}, Phases: []drain.Phase{{Ended: at.Add(time.Duration(i) * time.Second)}}}
		own = append(own, ownReceipt(name, r, i+1))
		if err := keepReceipt(name, own[i], fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != keptReceipts+2 {
		t.Errorf("%d files are left, %v: %v", len(all), err, all)
	}
	for i, file := range own {
		text, err := os.ReadFile(file)
		switch kept := i >= 3; {
		case kept && string(text) != fmt.Sprint(i):
			t.Errorf("%s holds %q, %v", file, text, err)
		case !kept && err == nil:
			t.Errorf("%s is still there", file)
		}
	}
	if text, _ := os.ReadFile(name); string(text) != fmt.Sprint(keptReceipts+2) {
		t.Errorf("the latest is %q", text)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}
