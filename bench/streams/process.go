package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// proc is a contestant that runs.
type proc struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
	err  error         // of Wait; read after done

	mu   sync.Mutex
	peak int64 // bytes resident, the most so far; guarded by mu
	wg   sync.WaitGroup
}

// start runs argv on the contestant's core, with env added to what the
// environment holds, and its output in a log file.
func (b *bench) start(name string, env []string, argv ...string) (*proc, error) {
	p := &proc{log: filepath.Join(b.work, name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command("taskset", append([]string{"-c", b.core}, argv...)...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.wg.Go(func() {
		p.err = p.cmd.Wait()
		close(p.done)
	})
	p.wg.Go(p.watch)
	return p, nil
}

// watch follows the resident memory: the kernel's own high-water mark, which
// a process takes with it when it ends.
func (p *proc) watch() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		p.look()
		select {
		case <-p.done:
			return
		case <-tick.C:
		}
	}
}

func (p *proc) look() {
	f, err := os.Open("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		return
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		rest, ok := strings.CutPrefix(sc.Text(), "VmHWM:")
		if !ok {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err == nil {
			p.mu.Lock()
			p.peak = max(p.peak, kb<<10)
			p.mu.Unlock()
		}
	}
}

func (p *proc) peakSoFar() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peak
}

// ended says whether the process is gone, and why as an error.
func (p *proc) ended() error {
	select {
	case <-p.done:
		tail, _ := os.ReadFile(p.log)
		if len(tail) > 3000 {
			tail = tail[len(tail)-3000:]
		}
		return fmt.Errorf("the contestant ended: %v; its log %s ends:\n%s", p.err, p.log, tail)
	default:
		return nil
	}
}

// usage is what a contestant took.
type usage struct {
	CPU  time.Duration
	Peak int64 // bytes
}

// stop asks the process to end, kills it if it does not within 20 s, and says what it took.
func (p *proc) stop(sig syscall.Signal) usage {
	p.look()
	_ = p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	return p.usage()
}

// wait waits for a process that ends by itself.
func (p *proc) wait(ctx context.Context) (usage, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		p.stop(syscall.SIGKILL)
		return usage{}, ctx.Err()
	}
	if p.err != nil {
		return usage{}, p.ended()
	}
	return p.usage(), nil
}

func (p *proc) usage() usage {
	p.wg.Wait()
	u := usage{Peak: p.peak}
	if r, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return u
}

// errTooSlow: a contestant did not finish in its time.
var errTooSlow = errors.New("not finished in time")
