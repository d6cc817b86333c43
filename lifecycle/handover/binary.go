package handover

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Command is how this process was started, as its successor will be.
type Command struct {
	Path string   // absolute; what is there at the time of the upgrade is what runs
	Args []string // without the program's name
	Env  []string // without what Receive took out
}

// ThisCommand notes how this process was started. Call it at the start, after Receive: the
// name by which it was called is followed now, while it means what it meant, and not
// /proc/self/exe, which follows the file to wherever it is moved and a symbolic link to the
// old version.
func ThisCommand() (Command, error) {
	path, err := programPath(os.Args[0])
	if err != nil {
		return Command{}, err
	}
	return Command{Path: path, Args: os.Args[1:], Env: os.Environ()}, nil
}

func programPath(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the program: %w", err)
	}
	path := name
	if !strings.ContainsRune(name, filepath.Separator) {
		if path, err = exec.LookPath(name); err != nil && !errors.Is(err, exec.ErrDot) {
			return self, nil
		}
	}
	if path, err = filepath.Abs(path); err != nil {
		return self, nil
	}
	// Who started us may have called us anything.
	a, errA := os.Stat(path)
	b, errB := os.Stat(self)
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		return self, nil
	}
	return path, nil
}

// successorEnv is the environment of a successor. LISTEN_PID is not known yet: listen-exec
// sets it.
func (c Command) successorEnv(set map[string]string) []string {
	var env []string
	for _, kv := range c.Env {
		name, _, _ := strings.Cut(kv, "=")
		if _, ours := set[name]; !ours && name != "NOTIFY_SOCKET" && !strings.HasPrefix(name, "LISTEN_") && name != offerVariable {
			env = append(env, kv)
		}
	}
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	return env
}
