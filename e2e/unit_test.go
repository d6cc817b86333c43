package e2e

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestUnitsVerify: systemd itself reads what deploy/systemd has, without a word of complaint, and does not find the
// process exposed.
func TestUnitsVerify(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	for _, name := range []string{"sluice.service", "sluice-web.socket"} {
		text := strings.ReplaceAll(read(t, "../deploy/systemd/"+name), "/usr/local/bin/sluice", built.sluice)
		write(t, filepath.Join(dir, name), text)
	}
	units := []string{filepath.Join(dir, "sluice.service"), filepath.Join(dir, "sluice-web.socket")}
	// Without --recursive-errors an unknown key is a warning, and the exit code 0.
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no", "--recursive-errors=yes"}, units...)...).CombinedOutput()
	var ours []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "sluice") {
			ours = append(ours, line)
		}
	}
	if len(ours) > 0 {
		t.Errorf("%v: %s", err, strings.Join(ours, ""))
	}
	out, err = exec.Command(analyze, "security", "--offline=true", units[0]).CombinedOutput()
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Skipf("this systemd does not judge files: %v %s", err, out)
	}
	if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > 2.5 {
		t.Errorf("exposure %s", m[1])
	}
}
