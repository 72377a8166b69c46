package hub

import (
	"bytes"
	"strconv"

	"github.com/klauspost/compress/flate"
)

// The two forms of every piece of a stream.
const (
	identity = iota
	gzipped
	encodings
)

// frame is one message of the stream in both forms. It never changes.
//
// The gzip form is raw deflate that begins with an empty window and ends with
// a sync flush, so that it ends on a byte and refers to nothing before it: a
// viewer can join at any frame, and any frames in a row are one valid deflate
// stream behind the gzip header that each viewer gets once. What a shared
// window would save on small deltas (a third or so) is not worth a viewer who
// cannot join in the middle.
type frame struct {
	seq  uint64
	body [encodings][]byte
	end  [encodings]int64 // bytes of all frames up to and with this one
}

func (f *frame) size() int { return len(f.body[identity]) + len(f.body[gzipped]) }

// static is what viewers get besides frames, the same bytes for all.
type static struct {
	// hello[e][i] begins a hijacked stream: HTTP header, gzip header, retry hint.
	hello [encodings][retries][]byte
	// prelude[e][i] is the same without the HTTP header.
	prelude [encodings][retries][]byte
	beat    [encodings][]byte
}

// retries is the number of retry hints, spread over retryMin to retryMax
// milliseconds so that viewers do not all come back at once.
const (
	retries  = 16
	retryMin = 1000
	retryMax = 5000
)

func retryMS(i int) int { return retryMin + (retryMax-retryMin)*(i%retries)/(retries-1) }

// gzipHeader is RFC 1952's: deflate, no flags, no time, unknown system.
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

const responseHeader = "HTTP/1.1 200 OK\r\n" +
	"Content-Type: text/event-stream\r\n" +
	"Cache-Control: no-store\r\n" +
	"X-Accel-Buffering: no\r\n" +
	"X-Content-Type-Options: nosniff\r\n" +
	"Referrer-Policy: no-referrer\r\n" +
	"Cross-Origin-Resource-Policy: same-origin\r\n" +
	"Vary: Accept-Encoding\r\n"

// encoder makes frames; one goroutine at a time.
type encoder struct {
	out  bytes.Buffer
	text []byte
	w    *flate.Writer
}

func newEncoder() *encoder {
	e := &encoder{}
	w, err := flate.NewWriter(&e.out, 6)
	if err != nil {
		panic("hub: flate refuses level 6: " + err.Error()) // a constant that the library documents
	}
	e.w = w
	return e
}

// deflate returns the sync-flushed form of text.
func (e *encoder) deflate(text []byte) []byte {
	e.out.Reset()
	e.w.Reset(&e.out)
	// Writes to a bytes.Buffer do not fail.
	_, _ = e.w.Write(text)
	_ = e.w.Flush()
	return bytes.Clone(e.out.Bytes())
}

func (e *encoder) piece(text []byte) [encodings][]byte {
	return [encodings][]byte{identity: bytes.Clone(text), gzipped: e.deflate(text)}
}

// frame makes a message. data must be one line.
func (e *encoder) frame(epoch string, seq uint64, event string, data []byte) *frame {
	return &frame{seq: seq, body: e.piece(e.message(epoch, seq, event, 0, data))}
}

// message appends an SSE message to e.text; retry 0: none.
func (e *encoder) message(epoch string, seq uint64, event string, retry int, data []byte) []byte {
	t := e.head(epoch, seq)
	t = append(append(t, "\nevent: "...), event...)
	if retry > 0 {
		t = strconv.AppendInt(append(t, "\nretry: "...), int64(retry), 10)
	}
	t = append(append(t, "\ndata: "...), data...)
	t = append(t, "\n\n"...)
	e.text = t
	return t
}

// head begins a message in the buffer that all messages use.
func (e *encoder) head(epoch string, seq uint64) []byte {
	t := e.text[:0]
	t = append(t, "id: "...)
	t = append(append(t, epoch...), '-')
	return strconv.AppendUint(t, seq, 10)
}

// snapshot makes the message a viewer begins with.
func (e *encoder) snapshot(epoch string, seq uint64, s Snapshot, sent int64) *frame {
	t := append(e.head(epoch, seq), "\nevent: snapshot\ndata: "...)
	t = append(s.AppendJSON(t, sent), "\n\n"...)
	e.text = t
	return &frame{seq: seq, body: e.piece(e.text)}
}

// bye makes the last message, with retry hint i.
func (e *encoder) bye(epoch string, seq uint64, i int) [encodings][]byte {
	return e.piece(e.message(epoch, seq, "bye", retryMS(i), []byte(`{"reason":"the server is stopping"}`)))
}

func (e *encoder) makeStatic() static {
	var s static
	s.beat = e.piece([]byte(":\n\n"))
	for i := range retries {
		// The two halves of the range alternate, so that neighbours spread.
		retry := e.piece([]byte("retry: " + strconv.Itoa(retryMS(i*7)) + "\n\n"))
		s.prelude[identity][i] = retry[identity]
		s.prelude[gzipped][i] = append([]byte(gzipHeader), retry[gzipped]...)
		s.hello[identity][i] = append([]byte(responseHeader+"Connection: close\r\n\r\n"), s.prelude[identity][i]...)
		s.hello[gzipped][i] = append([]byte(responseHeader+"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"), s.prelude[gzipped][i]...)
	}
	return s
}
