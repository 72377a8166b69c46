// Package system runs the built binary as a user does and holds what is on the
// log against the city computed anew. It is for tests: on the embedded parts and
// on the real ones alike.
package system

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

// Build builds ell into dir and returns the path of the binary.
func Build(dir string) (string, error) {
	binary := filepath.Join(dir, "ell")
	if out, err := exec.Command("go", "build", "-o", binary, "ell/cmd/ell").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build ell: %w\n%s", err, out)
	}
	return binary, nil
}

// Main is the TestMain of packages that run the binary: it builds it once and
// tells where it is.
func Main(m *testing.M, binary *string) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ell-test")
		if err == nil {
			defer os.RemoveAll(dir)
			*binary, err = Build(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// Ports are the addresses of one system.
type Ports struct{ Kafka, Registry, Gateway, HTTP string }

// FreePorts finds four that nobody uses now.
func FreePorts(t *testing.T) Ports {
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
	return Ports{got[0], got[1], got[2], got[3]}
}

// Args are the flags that make ell listen there.
func (p Ports) Args() []string {
	return []string{"--kafka-addr", p.Kafka, "--registry-addr", p.Registry, "--gateway-addr", p.Gateway, "--http-addr", p.HTTP}
}

// Proc is a running ell.
type Proc struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *syncBuffer // of stdout and stderr
	done chan error  // one result
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

// Start runs the binary with args. It is killed when the test ends.
func Start(t *testing.T, binary string, args ...string) *Proc {
	t.Helper()
	p := &Proc{t: t, cmd: exec.Command(binary, args...), out: &syncBuffer{}, done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.Env = append(os.Environ(), "ELL_LOG=warn")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
}

// Kill ends the process as a power cut would.
func (p *Proc) Kill() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop asks the process to end and wants it to within 5 s, with code 0.
func (p *Proc) Stop() {
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

// Within waits until f is nil.
func Within(t *testing.T, most time.Duration, f func() error) {
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

// Get reads a page and decodes its JSON into into, unless that is nil.
func Get(url string, into any) error {
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

// Ready waits until the website says that it has caught up.
func Ready(t *testing.T, p *Proc, at Ports) {
	t.Helper()
	Within(t, 60*time.Second, func() error {
		select {
		case err := <-p.done:
			p.done <- err
			t.Fatalf("ell ended: %v\n%s", err, p.out)
		default:
		}
		return Get("http://"+at.HTTP+"/readyz", nil)
	})
}

// Clock sends a command to the city's clock.
func Clock(t *testing.T, at Ports, body string) {
	t.Helper()
	Within(t, 20*time.Second, func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+at.HTTP+"/api/v1/clock", strings.NewReader(body))
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

// All is all that the process has said.
func (p *Proc) All() string { return p.out.String() }

// Output is the end of what the process has said.
func (p *Proc) Output() string {
	s := p.out.String()
	if len(s) > 3000 {
		return "…" + s[len(s)-3000:]
	}
	return s
}

// PID is the process's number.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Done gives the process's result, once, when it has ended.
func (p *Proc) Done() <-chan error { return p.done }

// Page is the text of a page.
func Page(url string) (string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// Signal sends the process a signal.
func (p *Proc) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("%v: %v", p.cmd.Args[1:], err)
	}
}
