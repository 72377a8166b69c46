package faultnet_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ell/internal/faultnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo starts a server that sends back what it gets, and a proxy to it.
func echo(t *testing.T) *faultnet.Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p, err := faultnet.New(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		ln.Close()
		<-done
	})
	return p
}

func dial(t *testing.T, p *faultnet.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends b and reads as much back within limit.
func ask(c net.Conn, b []byte, limit time.Duration) ([]byte, error) {
	if _, err := c.Write(b); err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	got := make([]byte, len(b))
	n, err := io.ReadFull(c, got)
	return got[:n], err
}

func TestCarriesBytesAsTheyAre(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	want := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	got, err := ask(c, want, 5*time.Second)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d of %d bytes came back, err %v", len(got), len(want), err)
	}
}

func TestCutResetsAndNewConnectionsWork(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	if _, err := ask(c, []byte("x"), time.Second); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if _, err := ask(c, []byte("x"), time.Second); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("after a cut: %v, want a reset", err)
	}
	if _, err := ask(dial(t, p), []byte("x"), time.Second); err != nil {
		t.Fatalf("a new connection: %v", err)
	}
}

func TestRefuseResetsNewConnections(t *testing.T) {
	p := echo(t)
	p.Refuse(true)
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer c.Close()
		_, err = ask(c, []byte("x"), time.Second)
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("refused connection: %v", err)
	}
	p.Heal()
	if _, err := ask(dial(t, p), []byte("x"), time.Second); err != nil {
		t.Fatalf("after healing: %v", err)
	}
}

func TestStalledBytesArriveWhenTheStallIsLifted(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	p.Set(faultnet.Down, faultnet.Fault{Stall: true})
	if _, err := ask(c, []byte("held"), 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("stalled: %v, want a timeout", err)
	}
	p.Heal()
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "held" {
		t.Fatalf("after healing: %q, %v", got, err)
	}
}

func TestHalfOpenSwallowsWhatWasSent(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	p.Set(faultnet.Up, faultnet.Fault{Swallow: true})
	if _, err := ask(c, []byte("lost"), 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("half-open: %v, want a timeout", err)
	}
	p.Heal()
	got, err := ask(c, []byte("next"), time.Second)
	if err != nil || string(got) != "next" {
		t.Fatalf("after healing: %q, %v: swallowed bytes must stay lost", got, err)
	}
}

func TestRateSlowsDown(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	p.Set(faultnet.Down, faultnet.Fault{Rate: 2000})
	begin := time.Now()
	if _, err := ask(c, make([]byte, 600), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d < 200*time.Millisecond {
		t.Fatalf("600 bytes at 2000 bytes/s took %s", d)
	}
}

func TestCorruptFlipsSingleBits(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	p.Set(faultnet.Up, faultnet.Fault{CorruptEvery: 100})
	got, err := ask(c, make([]byte, 1000), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for i, b := range got {
		if b == 0 {
			continue
		}
		flipped++
		if (i+1)%100 != 0 || b&(b-1) != 0 {
			t.Errorf("byte %d is %08b", i, b)
		}
	}
	if flipped != 10 || p.Corrupted() != 10 {
		t.Fatalf("%d bytes changed, %d counted, want 10", flipped, p.Corrupted())
	}
}

func TestCorruptHitsOnlyMarks(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	p.Set(faultnet.Up, faultnet.Fault{CorruptEvery: 2, Mark: []byte("mark")})
	got, err := ask(c, []byte("mark mork mark mark mark"), time.Second)
	if want := "mark mork lark mark lark"; err != nil || string(got) != want {
		t.Fatalf("%q came back, want %q, err %v", got, want, err)
	}
}

func TestCutAfterCarriesExactlySoMany(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	p.Set(faultnet.Down, faultnet.Fault{CutAfter: 10})
	got, err := ask(c, make([]byte, 100), time.Second)
	if len(got) > 10 || err == nil {
		t.Fatalf("%d bytes came back, err %v", len(got), err)
	}
}

func TestNetDialsThroughOneProxyAnAddress(t *testing.T) {
	p := echo(t)
	var n faultnet.Net
	t.Cleanup(func() { n.Close() })
	n.Each(func(p *faultnet.Proxy) { p.Refuse(true) })
	c, err := n.DialContext(t.Context(), "tcp", p.Addr())
	if err == nil {
		defer c.Close()
		_, err = ask(c, []byte("x"), time.Second)
	}
	if err == nil {
		t.Fatal("Each does not reach proxies made later")
	}
	n.Each((*faultnet.Proxy).Heal)
	c2, err := n.DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	if _, err := ask(c2, []byte("x"), time.Second); err != nil {
		t.Fatal(err)
	}
	if d := n.Dials(); d != 2 {
		t.Fatalf("%d dials, want 2", d)
	}
}
