package embedded_test

import (
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/embedded"
)

// send writes raw to the broker and waits for it to close the connection.
func send(t *testing.T, addr string, raw []byte) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(raw); err != nil {
		return // closed already
	}
	if err := c.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as read
			t.Errorf("% x: the connection stays open", raw[:min(len(raw), 16)])
		}
	}
}

func frame(kind, version int16, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(kind))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return append(b, body...)
}

func TestHostileBytesCloseTheConnectionAndNothingElse(t *testing.T) {
	s := open(t, options(t.TempDir()))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	filler := make([]byte, 32)
	for _, raw := range [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0},
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{0, 0, 0, 4, 0, 18, 0, 0},
		frame(9999, 0, filler), frame(-1, 0, filler), frame(18, -5, filler), frame(18, 32767, filler),
		frame(0, 9, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), frame(1, 12, filler),
	} {
		send(t, s.KafkaAddr(), raw)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 50<<20 {
		t.Errorf("%d MB allocated for a few bytes", n>>20)
	}
	if err := client(t, s.KafkaAddr()).Ping(within(t, 5*time.Second)); err != nil {
		t.Errorf("the broker is gone: %v", err)
	}
}

func FuzzRequests(f *testing.F) {
	for kind := range int16(93) {
		if req := kmsg.RequestForKey(kind); req != nil {
			f.Add(kind, int16(0), []byte("\x00\x00\x00\x01\x00\x01x\x00\x00\x00\x01"))
		}
	}
	s, err := embedded.Open(f.Context(), options(f.TempDir()))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, kind, version int16, body []byte) {
		c, err := net.Dial("tcp", s.KafkaAddr())
		if err != nil {
			t.Fatalf("the broker is gone: %v", err)
		}
		defer c.Close()
		_, _ = c.Write(frame(kind, version, body)) // it may be closed on us
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = io.ReadAll(c)
	})
}
