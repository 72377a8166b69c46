package check

import (
	"bufio"
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// dockerfile is the Dockerfile as BuildKit reads it; its warnings are errors here.
func dockerfile(t *testing.T) []instructions.Stage {
	t.Helper()
	text, err := os.ReadFile(root + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, msg string, _ []parser.Range) { t.Errorf("%s: %s", rule, msg) }})
	stages, _, err := instructions.Parse(tree.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range tree.Warnings {
		t.Error(w.Short)
	}
	return stages
}

// find returns the commands of one kind in a stage.
func find[T instructions.Command](s instructions.Stage) (out []T) {
	for _, c := range s.Commands {
		if x, ok := c.(T); ok {
			out = append(out, x)
		}
	}
	return out
}

// imageEnv is what the image itself sets for every role.
func imageEnv(t *testing.T) map[string]string {
	t.Helper()
	stages := dockerfile(t)
	out := map[string]string{}
	for _, c := range find[*instructions.EnvCommand](stages[len(stages)-1]) {
		for _, kv := range c.Env {
			out[kv.Key] = kv.Value
		}
	}
	return out
}

func TestDockerfileIsPinnedStaticAndWithoutRoot(t *testing.T) {
	stages := dockerfile(t)
	if len(stages) != 2 || stages[1].BaseName != "scratch" {
		t.Fatalf("%d stages, the last from %s", len(stages), stages[len(stages)-1].BaseName)
	}
	if !regexp.MustCompile(`@sha256:[0-9a-f]{64}$`).MatchString(stages[0].BaseName) {
		t.Errorf("%s is not pinned by digest", stages[0].BaseName)
	}
	version := regexp.MustCompile(`^golang:([0-9.]+)-`).FindStringSubmatch(stages[0].BaseName)
	mod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	wants := regexp.MustCompile(`(?m)^go ([0-9]+\.[0-9]+)`).FindSubmatch(mod)
	if version == nil || !strings.HasPrefix(version[1]+".", string(wants[1])+".") {
		t.Errorf("built by %s, but go.mod says %s", stages[0].BaseName, wants[1])
	}
	if n := len(find[*instructions.RunCommand](stages[1])); n > 0 {
		t.Errorf("%d commands are run in the final image, which has no shell", n)
	}
	user := find[*instructions.UserCommand](stages[1])
	if len(user) != 1 || user[0].User != "65532:65532" {
		t.Errorf("runs as %v", user)
	}
	health := find[*instructions.HealthCheckCommand](stages[1])
	if len(health) != 1 || !slices.Equal(health[0].Health.Test, []string{"CMD", "/ell", "health"}) {
		t.Errorf("health check is %v", health)
	}
}

// context copies what .dockerignore lets through, of what is committed or would be.
func buildContext(t *testing.T, to string) {
	t.Helper()
	f, err := os.Open(root + "/.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		skip, err := ignored.MatchesOrParentMatches(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if skip || os.IsNotExist(err) { // deleted, but not committed yet
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(to, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDockerfilesStepsBuildInACleanFolder runs the first stage's commands by
// hand, in order, on what the build context holds, and nothing else.
func TestDockerfilesStepsBuildInACleanFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the user without root gets there below
		t.Fatal(err)
	}
	stages := dockerfile(t)
	env := append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+arch(t))
	for _, c := range stages[0].Commands {
		switch c := c.(type) {
		case *instructions.CopyCommand:
			if slices.Equal(c.SourcePaths, []string{"."}) {
				buildContext(t, dir)
				continue
			}
			for _, name := range c.SourcePaths {
				text, err := os.ReadFile(filepath.Join(root, name))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		case *instructions.RunCommand:
			line := strings.Join(c.CmdLine, " ")
			cmd := exec.Command("/bin/sh", "-c", line)
			cmd.Dir, cmd.Env = dir, env
			began := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", line, err, out)
			}
			t.Logf("RUN %s (%.1f s)", line, time.Since(began).Seconds())
		}
	}
	binary := filepath.Join(dir, "out/ell")
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Error("the binary is not static: the final image has no loader and no library")
		}
	}
	for _, c := range find[*instructions.CopyCommand](stages[1]) {
		src := c.SourcePaths[0]
		if rel, ok := strings.CutPrefix(src, "/src/"); ok {
			src = filepath.Join(dir, rel)
		}
		if _, err := os.Stat(src); err != nil && src != "/etc/ssl/certs/ca-certificates.crt" { // the builder image's
			t.Errorf("COPY %s: %v", c.SourcePaths[0], err)
		}
	}
	runsAlone(t, binary)
}

// runsAlone starts the binary as the image does: without a shell, a home, or
// anything in its environment but the image's, and not as root where we are root.
func runsAlone(t *testing.T, binary string) {
	data := t.TempDir()
	cred := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		cred.Credential = &syscall.Credential{Uid: 65532, Gid: 65532}
		if err := os.Chown(data, 65532, 65532); err != nil {
			t.Fatal(err)
		}
	}
	env := imageEnv(t)
	env["ELL_DATA"] = data
	for _, k := range []string{"ELL_HTTP_ADDR", "ELL_GATEWAY_ADDR"} {
		if !strings.HasPrefix(env[k], "0.0.0.0:") {
			t.Errorf("%s is %q: nobody outside the container would reach it", k, env[k])
		}
		env[k] = freeAddr(t)
	}
	env["ELL_KAFKA_ADDR"], env["ELL_REGISTRY_ADDR"] = freeAddr(t), freeAddr(t)
	var list []string
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(binary, args...)
		cmd.Env, cmd.Dir, cmd.SysProcAttr = list, "/", cred
		return cmd
	}
	if out, err := run("health").CombinedOutput(); err == nil {
		t.Errorf("health of nothing: %s", out)
	}
	cmd := run()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	logged := make(chan string, 1) // what it wrote, when it has ended
	go func() {
		var all strings.Builder
		for s := bufio.NewScanner(stderr); s.Scan(); {
			all.WriteString(s.Text() + "\n")
		}
		logged <- all.String()
	}()
	healthy := eventually(30*time.Second, func() bool { return run("health").Run() == nil })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	text := <-logged
	if err := cmd.Wait(); err != nil {
		t.Errorf("stopped by SIGTERM: %v", err)
	}
	if !healthy {
		t.Errorf("not healthy within 30 s:\n%s", text)
	}
}
