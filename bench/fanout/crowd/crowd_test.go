//go:build linux

package crowd

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestQuantilesAreWithinTwoPercent(t *testing.T) {
	var h Histogram
	for us := range int64(1_000_001) {
		h.Add(us)
	}
	for _, q := range []float64{0.001, 0.5, 0.99, 1} {
		want := q * 1e6
		if got := float64(h.Quantile(q).Microseconds()); got > want || got < want*0.98 {
			t.Errorf("quantile %v is %v µs, want %v", q, got, want)
		}
	}
}

// zipped is a gzip header and messages that refer to nothing before them, as docs/stream.md has it.
func zipped(messages []string) []byte {
	b := bytes.NewBufferString("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
	for _, m := range messages {
		w, _ := flate.NewWriter(b, 6)
		_, _ = io.WriteString(w, m)
		_ = w.Flush()
	}
	return b.Bytes()
}

func TestStreamsAreCutAlikeHoweverTheyAreSplit(t *testing.T) {
	messages := []string{"id: 1\ndata: a\n\n", ":\n\n", "data: " + strings.Repeat("x", 300) + "\n\n"}
	all := strings.Join(messages, "")
	plain := "HTTP/1.1 200 OK\r\n\r\n" + all
	chunked := fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n%s\r\n%X\r\n%s\r\n", all[:3], len(all)-3, all[3:])
	for name, s := range map[string]string{"plain": plain, "in chunks": chunked} {
		for size := 1; size <= len(s); size++ {
			var got []string
			var st stream
			for rest := []byte(s); len(rest) > 0; {
				n := min(size, len(rest))
				if err := st.feed(bytes.Clone(rest[:n]), func(b []byte) error { got = append(got, string(b)); return nil }); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if !slices.Equal(got, messages) {
				t.Fatalf("%s, %d bytes at a time: got %q, want %q", name, size, got, messages)
			}
		}
	}
	for _, bad := range []string{"HTTP/1.1 503 No\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"} {
		var st stream
		if err := st.feed([]byte(bad), func([]byte) error { return nil }); err == nil {
			t.Errorf("%q is taken for a stream", bad)
		}
	}
}

// serve answers with messages, then keeps the connection.
func serve(t *testing.T, gz bool, messages ...string) Config {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		body := []byte(strings.Join(messages, ""))
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		head := "HTTP/1.1 200 OK\r\n"
		if gz {
			head += "Content-Encoding: gzip\r\n"
			body = zipped(messages)
		}
		_, _ = io.WriteString(conn, head+"\r\n")
		_, _ = conn.Write(body)
		t.Cleanup(func() { conn.Close() })
	}))
	t.Cleanup(srv.Close)
	return Config{
		Server: netip.MustParseAddrPort(srv.Listener.Addr().String()), Request: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		Read: func(b []byte) (Message, error) {
			var m Message
			if _, err := fmt.Sscanf(string(b), "data: %d\n", &m.Seq); err != nil {
				return m, err
			}
			m.Sent = time.Now().UnixMicro()
			return m, nil
		},
	}
}

func TestCrowdCountsWhatItGetsAndMisses(t *testing.T) {
	for _, gz := range []bool{false, true} {
		c, err := New(serve(t, gz, "data: 4\n\n", "data: 5\n\n", "data: 9\n\n"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := c.Join(ctx, 250); err != nil {
			t.Fatal(err)
		}
		for c.Behind(9) > 0 && ctx.Err() == nil {
			if err := c.Poll(time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Tally; got.Deliveries != 750 || got.Missed != 750 || got.Lost != 0 || c.Late.Count() != 500 || c.Size() != 250 {
			t.Errorf("gzip %v: %+v, %d timed, %d viewers; want 750 deliveries, 750 missed, 500 timed, 250 viewers", gz, got, c.Late.Count(), c.Size())
		}
		c.Leave(50)
		if c.Size() != 200 {
			t.Errorf("%d viewers after 50 of 250 left", c.Size())
		}
	}
}

func TestCrowdEndsOnWhatMustNotBe(t *testing.T) {
	for name, messages := range map[string][]string{
		"a message twice":      {"data: 4\n\n", "data: 4\n\n"},
		"an older message":     {"data: 4\n\n", "data: 3\n\n"},
		"one that is not read": {"data: 4\n\n", "data: ?\n\n"},
	} {
		c, err := New(serve(t, false, messages...))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for err = c.Join(ctx, 1); err == nil && ctx.Err() == nil; {
			err = c.Poll(time.Millisecond)
		}
		if err == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}
