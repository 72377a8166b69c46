package testkit

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childVar names the environment variable that turns a test binary into a
// worker process.
const childVar = "ELL_TEST_CHILD"

// Child returns the name of the worker this process shall be, or "" when it is
// a test run. Call it first in TestMain.
func Child() string { return os.Getenv(childVar) }

// Process is a worker: the test binary itself, started again.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and been waited for

	mu    sync.Mutex
	lines []string // guarded by mu: what it wrote
	err   error    // guarded by mu: how it ended
}

// Start starts the test binary as the named worker, with further environment
// variables ("NAME=value"). It is killed at the end of the test at the latest.
func Start(t testing.TB, name string, env ...string) *Process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatalf("find the test binary: %v", err)
	}
	p := &Process{cmd: exec.Command(exe), done: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), childVar+"="+name), env...)
	pipe, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("pipe from worker: %v", err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start worker %s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		sc := bufio.NewScanner(pipe)
		for sc.Scan() {
			p.mu.Lock()
			p.lines = append(p.lines, sc.Text())
			p.mu.Unlock()
		}
		err := p.cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
	}()
	t.Cleanup(p.Kill)
	return p
}

// Kill ends the process at once (SIGKILL) and waits for it.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	p.signal(syscall.SIGCONT)
	<-p.done
}

// Term asks the process to end (SIGTERM) and waits, killing it after limit.
func (p *Process) Term(limit time.Duration) error {
	p.signal(syscall.SIGTERM)
	return p.Wait(limit)
}

// Pause stops the process (SIGSTOP); Continue wakes it (SIGCONT).
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Continue wakes a paused process.
func (p *Process) Continue() { p.signal(syscall.SIGCONT) }

// Wait waits for the process and returns how it ended; after limit it kills it
// and says so.
func (p *Process) Wait(limit time.Duration) error {
	select {
	case <-p.done:
	case <-time.After(limit):
		p.Kill()
		return fmt.Errorf("worker %d still ran after %s and was killed", p.cmd.Process.Pid, limit)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Ended says whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Output returns what the process wrote so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// Said says whether the process has written a line that contains text.
func (p *Process) Said(text string) bool { return strings.Contains(p.Output(), text) }

// signal ignores errors: a process that has ended needs no signal.
func (p *Process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }
