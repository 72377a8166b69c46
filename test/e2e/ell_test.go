// Package e2e runs the built binary as a user does, kills it at random
// moments, and holds what is on the log against the city computed anew.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the ell that all tests run; TestMain builds it once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ell-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "ell")
		if out, err := exec.Command("go", "build", "-o", binary, "ell/cmd/ell").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build ell: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// ports are the addresses of one system.
type ports struct{ kafka, registry, gateway, http string }

// freePorts finds four that nobody uses now.
func freePorts(t *testing.T) ports {
	t.Helper()
	var got [4]string
	for i := range got {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		got[i] = l.Addr().String()
	}
	return ports{got[0], got[1], got[2], got[3]}
}

func (p ports) args() []string {
	return []string{"--kafka-addr", p.kafka, "--registry-addr", p.registry, "--gateway-addr", p.gateway, "--http-addr", p.http}
}

// proc is a running ell.
type proc struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *syncBuffer
	done chan error // one result
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func start(t *testing.T, args ...string) *proc {
	t.Helper()
	p := &proc{t: t, cmd: exec.Command(binary, args...), out: &syncBuffer{}, done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.Env = append(os.Environ(), "ELL_LOG=warn")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
}

// kill ends the process as a power cut would.
func (p *proc) kill() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// stop asks the process to end and wants it to within 5 s, with code 0.
func (p *proc) stop() {
	p.t.Helper()
	begun := time.Now()
	p.cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-p.done:
		if err != nil {
			p.t.Errorf("%v stopped with %v:\n%s", p.cmd.Args[1:], err, p.out)
		}
	case <-time.After(10 * time.Second):
		p.cmd.Process.Signal(syscall.SIGQUIT) // where every goroutine stands goes to the output
		<-p.done
		p.t.Errorf("%v has not stopped after %v:\n%s", p.cmd.Args[1:], time.Since(begun), p.out)
	}
}

// within waits until f is nil.
func within(t *testing.T, most time.Duration, f func() error) {
	t.Helper()
	end := time.Now().Add(most)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %v", most, err)
		}
		time.Sleep(50 * time.Millisecond) // another process is waited for; there is no clock to fake
	}
}

func get(url string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

// ready waits until the website says that it has caught up.
func ready(t *testing.T, p *proc, at ports) {
	t.Helper()
	within(t, 60*time.Second, func() error {
		select {
		case err := <-p.done:
			p.done <- err
			t.Fatalf("ell ended: %v\n%s", err, p.out)
		default:
		}
		return get("http://"+at.http+"/readyz", nil)
	})
}

// clock sends a command to the city's clock.
func clock(t *testing.T, at ports, body string) {
	t.Helper()
	within(t, 20*time.Second, func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+at.http+"/api/v1/clock", strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			text, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%s: %s", resp.Status, text)
		}
		return nil
	})
}
