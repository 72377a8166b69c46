package hub

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// state is a snapshot that says its number, padded to a size.
type state struct {
	seq uint64
	pad int
}

func (s state) AppendJSON(dst []byte, _ int64) []byte {
	dst = append(dst, `{"n":`...)
	dst = strconv.AppendUint(dst, s.seq, 10)
	dst = append(dst, `,"pad":"`...)
	for i := range s.pad {
		dst = append(dst, byte('a'+i*7%26))
	}
	return append(dst, `"}`...)
}

// message is one parsed SSE message.
type message struct{ id, event, data, retry string }

// stream reads messages.
type stream struct {
	r        *bufio.Reader
	comments int
}

func (s *stream) next() (message, error) {
	var m message
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return m, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			if m.event != "" {
				return m, nil
			}
			continue
		}
		k, v, _ := strings.Cut(line, ":")
		v = strings.TrimPrefix(v, " ")
		switch k {
		case "":
			s.comments++
		case "id":
			m.id = v
		case "event":
			m.event = v
		case "data":
			m.data = v
		case "retry":
			m.retry = v
		}
	}
}

// fixture is a running hub behind a real HTTP server.
type fixture struct {
	hub  *Hub
	srv  *httptest.Server
	stop func()
}

func start(t *testing.T, o Options) *fixture {
	t.Helper()
	o.Epoch = "e1"
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	srv := httptest.NewServer(h)
	f := &fixture{hub: h, srv: srv}
	stopped := false
	f.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		srv.CloseClientConnections()
		srv.Close()
	}
	t.Cleanup(f.stop)
	waitFor(t, "the hub to run", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.running
	})
	return f
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

func (f *fixture) publish(t *testing.T, seq uint64, pad int) {
	t.Helper()
	data := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, seq, strings.Repeat("x", pad))
	if err := f.hub.Publish(seq, []byte(data), state{seq, 2000}); err != nil {
		t.Fatal(err)
	}
}

type viewerConn struct {
	stream
	conn net.Conn
	head string
}

// dial opens a stream by hand, so that the exact bytes are seen.
func (f *fixture) dial(t *testing.T, headers ...string) *viewerConn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", f.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	req := "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
	if _, err := io.WriteString(conn, req); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	v := &viewerConn{conn: conn}
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("read header: %v", err)
		}
		if line == "\r\n" {
			break
		}
		v.head += line
	}
	if strings.Contains(v.head, "Content-Encoding: gzip") {
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = bufio.NewReader(z)
	}
	v.r = r
	return v
}

func (v *viewerConn) want(t *testing.T, event, id string) message {
	t.Helper()
	m, err := v.next()
	if err != nil {
		t.Fatalf("waiting for %s %s: %v", event, id, err)
	}
	if m.event != event || m.id != id {
		t.Fatalf("got %s %s, want %s %s", m.event, m.id, event, id)
	}
	return m
}

func forms(t *testing.T, test func(t *testing.T, o Options, headers []string)) {
	t.Helper()
	ways := map[string]Options{"many a call": {}, "one a call": {NoRing: true}, "portable": {Portable: true}}
	for way, o := range ways {
		for _, gz := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s gzip=%v", way, gz), func(t *testing.T) {
				headers := []string{"Connection: close"}
				if gz {
					headers = append(headers, "Accept-Encoding: gzip, deflate, br")
				}
				test(t, o, headers)
			})
		}
	}
}

func TestViewerGetsSnapshotThenDeltas(t *testing.T) {
	forms(t, func(t *testing.T, o Options, headers []string) {
		f := start(t, o)
		f.publish(t, 1, 10)
		v := f.client(t, headers)
		v.want(t, "snapshot", "e1-1")
		for seq := uint64(2); seq < 30; seq++ {
			f.publish(t, seq, 50)
			m := v.want(t, "delta", fmt.Sprintf("e1-%d", seq))
			if !strings.HasPrefix(m.data, fmt.Sprintf(`{"n":%d,`, seq)) {
				t.Fatalf("frame %d has data %q", seq, m.data)
			}
		}
	})
}

// client opens a stream with net/http's own client, which reads chunks.
func (f *fixture) client(t *testing.T, headers []string) *viewerConn {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.srv.URL+"/api/v1/stream", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	for _, h := range headers {
		if k, v, _ := strings.Cut(h, ": "); k != "Connection" {
			req.Header.Set(k, v)
		}
	}
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("answer %s, type %q", res.Status, res.Header.Get("Content-Type"))
	}
	v := &viewerConn{stream: stream{r: bufio.NewReader(res.Body)}}
	if res.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		v.r = bufio.NewReader(z)
	}
	return v
}

func TestViewerBeforeTheFirstFrameWaitsForIt(t *testing.T) {
	forms(t, func(t *testing.T, o Options, headers []string) {
		f := start(t, o)
		v := f.client(t, headers)
		waitFor(t, "the viewer", func() bool { return f.hub.Stats().Viewers == 1 })
		f.publish(t, 1, 10)
		v.want(t, "snapshot", "e1-1")
	})
}

func TestResumeGetsTheDeltasMissed(t *testing.T) {
	forms(t, func(t *testing.T, o Options, headers []string) {
		f := start(t, o)
		for seq := uint64(1); seq <= 8; seq++ {
			f.publish(t, seq, 20)
		}
		v := f.client(t, append(headers, "Last-Event-ID: e1-5"))
		for seq := 6; seq <= 8; seq++ {
			v.want(t, "delta", fmt.Sprintf("e1-%d", seq))
		}
		f.publish(t, 9, 20)
		v.want(t, "delta", "e1-9")
	})
}

func TestResumeWithAnIDThatDoesNotFitBeginsWithASnapshot(t *testing.T) {
	f := start(t, Options{RingFrames: 4})
	for seq := uint64(1); seq <= 20; seq++ {
		f.publish(t, seq, 20)
	}
	for name, id := range map[string]string{
		"of another epoch": "e2-19", "from the future": "e1-99", "fallen out of the ring": "e1-2", "no number": "e1-x",
		"empty": "", "negative": "e1--3", "too large": "e1-99999999999999999999999", "no dash": "e119",
		"zero": "e1-0", "long": strings.Repeat("e", 5000) + "-1", "markup": "<script>-1",
	} {
		t.Run(name, func(t *testing.T) {
			v := f.dial(t, "Last-Event-ID: "+id)
			v.want(t, "snapshot", "e1-20")
		})
	}
}

func FuzzResume(f *testing.F) {
	for _, s := range []string{"e1-5", "", "-", "e1-", "e1-18446744073709551615", "e1-18446744073709551616", "e1-+5", "e1- 5"} {
		f.Add(s)
	}
	h, err := New(Options{Epoch: "e1"})
	if err != nil {
		f.Fatal(err)
	}
	for seq := uint64(1); seq <= 10; seq++ {
		if err := h.Publish(seq, []byte(`{}`), state{seq, 10}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := resume("e1", s)
		if p.synced && (p.seq == 0 || !strings.HasPrefix(s, "e1-")) {
			t.Fatalf("%q resumes at %+v", s, p)
		}
		for range 20 {
			if h.next(&p, identity) == nil {
				break
			}
		}
		if p.seq != 10 || !p.synced {
			t.Fatalf("%q ends at %+v", s, p)
		}
	})
}

func TestHeadersOfTheStream(t *testing.T) {
	f := start(t, Options{})
	v := f.dial(t, "Accept-Encoding: gzip")
	for _, want := range []string{
		"HTTP/1.1 200 OK\r\n", "Content-Type: text/event-stream\r\n", "Cache-Control: no-store\r\n", "Content-Encoding: gzip\r\n",
		"X-Accel-Buffering: no\r\n", "X-Content-Type-Options: nosniff\r\n", "Referrer-Policy: no-referrer\r\n", "Vary: Accept-Encoding\r\n",
	} {
		if !strings.Contains(v.head, want) {
			t.Errorf("header lacks %q:\n%s", want, v.head)
		}
	}
}

func TestAcceptsGzip(t *testing.T) {
	for in, want := range map[string]bool{
		"gzip": true, "": false, "deflate, br": false, "br, gzip": true, "gzip;q=0": false, "gzip; q=0.0": false, "gzip;q=0.5": true,
		"*": true, "*;q=0": false, "*, gzip;q=0": false, "GZIP": true, "gzip;q=x": false, "identity": false,
	} {
		if got := AcceptsGzip([]string{in}); got != want {
			t.Errorf("AcceptsGzip(%q) = %v", in, got)
		}
	}
}

func TestByeSendsViewersAwayWithAHint(t *testing.T) {
	forms(t, func(t *testing.T, o Options, headers []string) {
		f := start(t, o)
		f.publish(t, 1, 10)
		v := f.client(t, headers)
		v.want(t, "snapshot", "e1-1")
		f.stop()
		m := v.want(t, "bye", "e1-1")
		retry, err := strconv.Atoi(m.retry)
		if err != nil || retry < retryMin || retry > retryMax {
			t.Fatalf("retry %q", m.retry)
		}
		if _, err := v.next(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("after bye: %v", err)
		}
	})
}

func TestHeartbeatBreaksSilence(t *testing.T) {
	forms(t, func(t *testing.T, o Options, headers []string) {
		o.Heartbeat = 50 * time.Millisecond
		f := start(t, o)
		v := f.client(t, headers)
		go func() {
			time.Sleep(150 * time.Millisecond)
			_ = f.hub.Publish(1, []byte(`{}`), state{1, 10})
		}()
		v.want(t, "snapshot", "e1-1")
		if v.comments == 0 {
			t.Error("no heartbeat in 150 ms of silence")
		}
	})
}

func TestLimitsRefuseWithRetryAfter(t *testing.T) {
	for name, o := range map[string]Options{"in all": {MaxViewers: 2, MaxPerIP: -1}, "per address": {MaxPerIP: 2}} {
		t.Run(name, func(t *testing.T) {
			f := start(t, o)
			f.publish(t, 1, 10)
			first := f.dial(t)
			first.want(t, "snapshot", "e1-1")
			f.dial(t).want(t, "snapshot", "e1-1")
			v := f.dial(t, "Connection: close")
			if !strings.HasPrefix(v.head, "HTTP/1.1 503") || !strings.Contains(v.head, "Retry-After: ") {
				t.Fatalf("third viewer got %s", v.head)
			}
			first.conn.Close()
			waitFor(t, "the place to be free", func() bool { return f.hub.Stats().Viewers == 1 })
			f.dial(t).want(t, "snapshot", "e1-1")
			if n := f.hub.Stats().Refused; n != 1 {
				t.Errorf("%d refused", n)
			}
		})
	}
}

func TestSlowViewerIsSkippedForwardAndDelaysNobody(t *testing.T) {
	forms(t, func(t *testing.T, o Options, headers []string) {
		f := start(t, o)
		f.publish(t, 1, 10)
		slow := f.slow(t, headers)
		fast := f.client(t, headers)
		fast.want(t, "snapshot", "e1-1")
		var worst time.Duration
		const last = 1500
		for seq := uint64(2); seq <= last; seq++ {
			began := time.Now()
			data := []byte(fmt.Sprintf(`{"n":%d,"pad":"%s"}`, seq, noise(seq, 1200)))
			if err := f.hub.Publish(seq, data, state{seq, 8000}); err != nil {
				t.Fatal(err)
			}
			fast.want(t, "delta", fmt.Sprintf("e1-%d", seq))
			worst = max(worst, time.Since(began))
		}
		t.Logf("worst delivery to the fast viewer beside a slow one: %v", worst)
		if o.Portable {
			return // what net/http's connection has in the kernel's buffer is not ours to bound
		}
		// Now the slow one reads: what it gets is whole, in order, and far less than all.
		messages, snapshots, at := 0, 0, uint64(0)
		for at < last {
			m, err := slow.next()
			if err != nil {
				t.Fatalf("slow viewer after %d messages at %d: %v", messages, at, err)
			}
			messages++
			seq, err := strconv.ParseUint(strings.TrimPrefix(m.id, "e1-"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(m.data, fmt.Sprintf(`{"n":%d,`, seq)) || !strings.HasSuffix(m.data, `"}`) {
				t.Fatalf("message %s is torn: %.40q…", m.id, m.data)
			}
			if m.event == "snapshot" {
				snapshots++
			} else if seq != at+1 {
				t.Fatalf("delta %d follows %d without a snapshot", seq, at)
			}
			if seq <= at {
				t.Fatalf("message %d after %d", seq, at)
			}
			at = seq
		}
		if snapshots < 2 || messages > last/2 {
			t.Errorf("slow viewer got %d messages, %d snapshots, of %d frames", messages, snapshots, last)
		}
		t.Logf("slow viewer: %d messages, %d snapshots, of %d frames", messages, snapshots, last)
	})
}

// noise is text that does not compress to nothing.
func noise(seq uint64, n int) string {
	var b strings.Builder
	x := seq*2654435761 + 1
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b.WriteByte('A' + byte(x%50)&31)
	}
	return b.String()
}

// slow opens a stream whose receive buffer is small, and does not read it.
func (f *fixture) slow(t *testing.T, headers []string) *viewerConn {
	t.Helper()
	tr := &http.Transport{
		DisableCompression: true, ReadBufferSize: 512, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, network, addr)
			if err == nil {
				err = c.(*net.TCPConn).SetReadBuffer(1024)
			}
			return c, err
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.srv.URL+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		if k, v, _ := strings.Cut(h, ": "); k != "Connection" {
			req.Header.Set(k, v)
		}
	}
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	v := &viewerConn{stream: stream{r: bufio.NewReaderSize(res.Body, 64)}}
	if res.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(v.r)
		if err != nil {
			t.Fatal(err)
		}
		v.r = bufio.NewReader(z)
	}
	return v
}

func TestViewerThatTakesNothingIsDropped(t *testing.T) {
	f := start(t, Options{Stall: 100 * time.Millisecond})
	f.publish(t, 1, 10)
	f.slow(t, nil)
	for seq := uint64(2); f.hub.Stats().Stalled == 0 && seq < 4000; seq++ {
		f.publish(t, seq, 1500)
		time.Sleep(time.Millisecond)
	}
	waitFor(t, "the viewer to be dropped", func() bool { return f.hub.Stats().Viewers == 0 })
}

func TestViewerThatTalksOnIsDropped(t *testing.T) {
	f := start(t, Options{})
	f.publish(t, 1, 10)
	v := f.dial(t)
	v.want(t, "snapshot", "e1-1")
	junk := bytes.Repeat([]byte("x"), 64<<10)
	for range 64 {
		if _, err := v.conn.Write(junk); err != nil {
			break
		}
	}
	waitFor(t, "the viewer to be dropped", func() bool { return f.hub.Stats().Viewers == 0 })
}

func TestHerdCostsOneSnapshot(t *testing.T) {
	f := start(t, Options{MaxPerIP: -1})
	f.publish(t, 1, 10)
	const herd = 200
	viewers := make([]*viewerConn, herd)
	for i := range viewers {
		viewers[i] = f.dial(t, "Accept-Encoding: gzip")
	}
	for _, v := range viewers {
		v.want(t, "snapshot", "e1-1")
	}
	if n := f.hub.Stats().Snapshots; n > 5 {
		t.Errorf("%d snapshots were encoded for %d viewers", n, herd)
	}
	for _, v := range viewers {
		v.conn.Close()
	}
	waitFor(t, "all to be gone", func() bool { return f.hub.Stats().Viewers == 0 })
	if n := f.descriptors(t); n > 60 {
		t.Errorf("%d descriptors are open after all viewers left", n)
	}
}

func (f *fixture) descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	return len(d)
}

func TestFramesHaveToBeInOrder(t *testing.T) {
	h, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{0, 2, 7} {
		if err := h.Publish(seq, []byte("{}"), state{}); err == nil {
			t.Errorf("frame %d was taken as the first", seq)
		}
	}
	if err := h.Publish(1, []byte("{}"), state{}); err != nil {
		t.Fatal(err)
	}
	if err := h.Publish(1, []byte("{}"), state{}); err == nil {
		t.Error("frame 1 was taken twice")
	}
}

func TestRingKeepsItsBounds(t *testing.T) {
	h, err := New(Options{RingFrames: 10, RingBytes: 4000})
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 500; seq++ {
		if err := h.Publish(seq, []byte(noise(seq, int(seq))), state{}); err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, f := range h.ring {
			size += f.size()
		}
		if len(h.ring) > 10 || size != h.ringSize || size > 4000 && len(h.ring) > 1 {
			t.Fatalf("after %d: %d frames, %d bytes (counted %d)", seq, len(h.ring), size, h.ringSize)
		}
	}
}

func TestAnyFramesInARowAreOneDeflateStream(t *testing.T) {
	e := newEncoder()
	var frames []*frame
	for seq := uint64(1); seq <= 20; seq++ {
		frames = append(frames, e.frame("e1", seq, "delta", []byte(noise(seq, 300))))
	}
	for from := range frames {
		var packed, plain bytes.Buffer
		for _, f := range frames[from:] {
			packed.Write(f.body[gzipped])
			plain.Write(f.body[identity])
		}
		got, err := io.ReadAll(flate.NewReader(&packed))
		if !errors.Is(err, io.ErrUnexpectedEOF) { // the stream has no end, by design
			t.Fatalf("from %d: %v", from, err)
		}
		if !bytes.Equal(got, plain.Bytes()) {
			t.Fatalf("from %d: the two forms differ", from)
		}
	}
}

func TestPublishAllocatesLittle(t *testing.T) {
	h, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	data := []byte(noise(1, 1400))
	var snap Snapshot = state{}
	seq := uint64(0)
	allocs := testing.AllocsPerRun(200, func() {
		seq++
		if err := h.Publish(seq, data, snap); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 6 {
		t.Errorf("%.0f allocations per frame, whatever the number of viewers; want at most 6", allocs)
	}
}

func TestThoseWhoWatchHearAHeartbeatThoughOthersKeepComing(t *testing.T) {
	f := start(t, Options{Heartbeat: 400 * time.Millisecond, Loops: 1})
	f.publish(t, 1, 10)
	v := f.dial(t)
	v.want(t, "snapshot", "e1-1")
	for range 12 {
		time.Sleep(150 * time.Millisecond)
		f.dial(t)
	}
	f.publish(t, 2, 10)
	v.want(t, "delta", "e1-2")
	if v.comments < 2 {
		t.Errorf("%d heartbeats in 1.8 s, want one each 0.4 s", v.comments)
	}
}
