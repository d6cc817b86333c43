package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// typed asks a real shell what it would offer behind a line.
type typed func(t *testing.T, line string) string

// bash reads the script of `sluice completion bash` as a person's shell would.
func bash(t *testing.T, dir string) typed {
	script, code := command(t, "completion", "bash")
	if code != 0 {
		t.Fatal(script)
	}
	write(t, filepath.Join(dir, "sluice.bash"), script)
	// What the package bash-completion brings, as far as the script asks for it: it may not be here.
	const words = `_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
_filedir() { COMPREPLY+=("files:$1"); }
compopt() { :; }
`
	return func(t *testing.T, line string) string {
		t.Helper()
		ask := words + `source sluice.bash
line=$1
read -ra COMP_WORDS <<< "$line"
[[ $line == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=63 COMP_KEY=9
__start_sluice
printf '%s\n' "${COMPREPLY[@]}"`
		return shell(t, dir, "bash", "--norc", "--noprofile", "-c", ask, "bash", line)
	}
}

func fish(t *testing.T, dir string) typed {
	script, code := command(t, "completion", "fish")
	if code != 0 {
		t.Fatal(script)
	}
	write(t, filepath.Join(dir, "sluice.fish"), script)
	return func(t *testing.T, line string) string {
		t.Helper()
		return shell(t, dir, "fish", "--no-config", "-c", "source sluice.fish; complete -C \"$argv[1]\"", line)
	}
}

// zsh has no way to be asked without a terminal: what its script calls to show an offer prints here.
func zsh(t *testing.T, dir string) typed {
	script, code := command(t, "completion", "zsh")
	if code != 0 {
		t.Fatal(script)
	}
	write(t, filepath.Join(dir, "_sluice"), script)
	return func(t *testing.T, line string) string {
		t.Helper()
		const ask = `compdef() { :; }; _arguments() { print -r -- "files:$*"; }; _describe() { print -rl -- "${completions[@]}"; }
source ./_sluice; words=(${(s: :)1}); [[ $1 == *" " ]] && words+=(""); CURRENT=$#words; _sluice; true`
		return shell(t, dir, "zsh", "-f", "-c", ask, "zsh", line)
	}
}

func shell(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(built.sluice)+":"+os.Getenv("PATH"), "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// TestShellsComplete types lines into the shells that are here.
func TestShellsComplete(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T, string) typed{"bash": bash, "fish": fish, "zsh": zsh} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				t.Skip(name, " is not here")
			}
			offers := open(t, t.TempDir())
			for _, tt := range []struct {
				line string
				want []string
				not  string
			}{
				{"sluice dr", []string{"drain"}, "doctor"},
				{"sluice config ", []string{"show", "schema", "env", "fmt"}, "drain"},
				{"sluice drain --dea", []string{"--deadline"}, "--watch"},
				{"sluice run --log-format ", []string{"auto", "json", "text"}, "debug"},
				{"sluice doctor --balancer ", []string{"kube-proxy", "nlb"}, "json"},
				{"sluice explain connect_f", []string{"connect_failed"}, "no_route"},
			} {
				got := offers(t, tt.line)
				for _, want := range tt.want {
					if !strings.Contains(got, want) {
						t.Errorf("%q offers no %s:\n%s", tt.line, want, got)
					}
				}
				if strings.Contains(got, tt.not) {
					t.Errorf("%q offers %s:\n%s", tt.line, tt.not, got)
				}
			}
		})
	}
}
