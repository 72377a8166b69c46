package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serve runs a server with its hub on a real port until the test ends.
func serve(t *testing.T, change func(*Server)) *Server {
	t.Helper()
	c := newCity(t, nil).fill(t)
	cfg := c.cfg
	cfg.Registry, cfg.Addr = nil, "127.0.0.1:0"
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	hubDone, done := make(chan error, 1), make(chan error, 1)
	go func() { hubDone <- cfg.Hub.Run(ctx) }()
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for _, ch := range []chan error{hubDone, done} {
			if err := <-ch; err != nil {
				t.Error(err)
			}
		}
	})
	if err := cfg.Hub.Publish(1, []byte(`{}`), cfg.Board.Snapshot()); err != nil {
		t.Fatal(err)
	}
	return s
}

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func healthy(t *testing.T, s *Server) {
	t.Helper()
	c := dial(t, s)
	defer c.Close()
	fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	b, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200") {
		t.Fatalf("health: %v %q", err, b)
	}
}

func TestFault45SlowClientsAreCutOff(t *testing.T) {
	s := serve(t, func(s *Server) {
		s.http.ReadHeaderTimeout, s.http.ReadTimeout = 150*time.Millisecond, 300*time.Millisecond
	})
	var conns []net.Conn
	for i := range 100 {
		c := dial(t, s)
		switch i % 3 {
		case 0:
			fmt.Fprint(c, "GET / HT") // never ends its header
		case 1:
			fmt.Fprint(c, "POST /api/v1/clock HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{") // never ends its body
		} // and some say nothing at all
		conns = append(conns, c)
	}
	healthy(t, s)
	for i, c := range conns {
		// The server closes: reading ends before our own deadline does.
		if _, err := io.Copy(io.Discard, c); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // net.Error by contract
				t.Fatalf("connection %d was kept", i)
			}
		}
	}
	healthy(t, s)
}

func TestFault46MalformedRequestsAreRefused(t *testing.T) {
	s := serve(t, nil)
	for name, x := range map[string]struct{ request, want string }{
		"two lengths":           {"POST /api/v1/clock HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "400"},
		"length and chunks":     {"POST /api/v1/clock HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "4"},
		"odd encoding":          {"POST /api/v1/clock HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n", "501"},
		"negative length":       {"POST /api/v1/clock HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", "400"},
		"NUL in a header":       {"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", "400"},
		"space before colon":    {"GET / HTTP/1.1\r\nHost: localhost\r\nX : a\r\n\r\n", "400"},
		"no host":               {"GET / HTTP/1.1\r\n\r\n", "400"},
		"two hosts":             {"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n", "400"},
		"huge header":           {"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 100_000) + "\r\n\r\n", "431"},
		"HTTP/2 by prior will":  {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "421"},
		"rubbish":               {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
		"absolute, other host":  {"GET http://evil.test/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "421"},
		"body over the limit":   {"POST /api/v1/clock HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n", "413"},
		"chunks over the limit": {"POST /api/v1/clock HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n{" + strings.Repeat(" ", 4999) + "\r\n", "413"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s)
			// The server may close before it has read all.
			_, _ = io.WriteString(c, x.request)
			line, err := bufio.NewReader(c).ReadString('\n')
			if code := strings.TrimPrefix(line, "HTTP/1.1 "); err != nil || !strings.HasPrefix(code, x.want) {
				t.Errorf("answer %q, %v, want %s", line, err, x.want)
			}
		})
	}
	healthy(t, s)
}

func TestFault44AFloodOfViewersLeavesHealthAlone(t *testing.T) {
	s := serve(t, nil)
	refused := 0
	for range 400 { // the bound per address is 256
		c := dial(t, s)
		fmt.Fprint(c, "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		switch res.StatusCode {
		case http.StatusOK:
		case http.StatusServiceUnavailable:
			refused++
			if res.Header.Get("Retry-After") == "" {
				t.Fatal("refused without Retry-After")
			}
			c.Close()
		default:
			t.Fatalf("answer %s", res.Status)
		}
	}
	if refused != 400-256 {
		t.Errorf("%d of 400 refused", refused)
	}
	healthy(t, s)
}

func TestFault57NoProfilerIsServed(t *testing.T) {
	s := serve(t, nil)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars"} {
		c := dial(t, s)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
		if line, _ := bufio.NewReader(c).ReadString('\n'); !strings.Contains(line, "404") {
			t.Errorf("%s: %s", path, line)
		}
	}
}
