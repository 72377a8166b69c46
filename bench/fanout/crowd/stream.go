package crowd

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// stream is what is known of one HTTP response with Server-Sent Events: it takes
// the bytes of a connection as they come and cuts them into pieces, a message
// each. Memory is held only while a piece is incomplete.
type stream struct {
	rest    []byte // begun and not complete: of the header, or of a piece without its chunk framing
	left    int    // bytes of the chunk that are still to come
	phase   phase
	gzip    bool
	chunked bool
}

type phase uint8

const (
	inHeader phase = iota
	inGzipHeader
	inSize  // a chunk's size line
	inChunk // a chunk's bytes
	inEnd   // the line feed after a chunk's bytes
	inBody  // a body that is not chunked
)

// The ends of pieces. The second is a sync flush of deflate: an empty stored block.
var (
	blank = []byte("\n\n")
	flush = []byte{0, 0, 0xff, 0xff}
)

const gzipHeaderSize = 10

// maxRest bounds a piece that is not complete.
const maxRest = 1 << 20

// feed takes the bytes of one read, which it may overwrite, and calls piece for
// every message that is complete; piece must not keep its argument.
func (s *stream) feed(b []byte, piece func([]byte) error) error {
	if s.phase == inHeader {
		s.rest = append(s.rest, b...)
		end := bytes.Index(s.rest, []byte("\r\n\r\n"))
		if end < 0 {
			if len(s.rest) > 16<<10 {
				return errors.New("header of the response has no end")
			}
			return nil
		}
		b = s.rest[end+4:]
		if err := s.header(s.rest[:end]); err != nil {
			return err
		}
		s.rest = nil
	}
	if s.chunked {
		var err error
		if b, err = s.dechunk(b); err != nil {
			return err
		}
	}
	if len(s.rest) > 0 {
		b = append(s.rest, b...)
	}
	if s.phase == inGzipHeader {
		if len(b) < gzipHeaderSize {
			s.rest = bytes.Clone(b)
			return nil
		}
		b, s.phase = b[gzipHeaderSize:], inBody
	}
	end := blank
	if s.gzip {
		end = flush
	}
	for {
		i := bytes.Index(b, end)
		if i < 0 {
			break
		}
		if err := piece(b[:i+len(end)]); err != nil {
			return err
		}
		b = b[i+len(end):]
	}
	if len(b) > maxRest {
		return fmt.Errorf("message of %d bytes has no end", len(b))
	}
	if s.rest = nil; len(b) > 0 {
		s.rest = bytes.Clone(b)
	}
	return nil
}

func (s *stream) header(b []byte) error {
	status, rest, _ := bytes.Cut(b, []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("the server answered %q", status)
	}
	lower := bytes.ToLower(rest)
	s.chunked = bytes.Contains(lower, []byte("transfer-encoding: chunked"))
	s.gzip = bytes.Contains(lower, []byte("content-encoding: gzip"))
	switch {
	case s.chunked && s.gzip:
		return errors.New("the server compresses chunks, which is not read here")
	case s.chunked:
		s.phase = inSize
	case s.gzip:
		s.phase = inGzipHeader
	default:
		s.phase = inBody
	}
	return nil
}

// dechunk moves the bytes of the chunks in b together and returns them.
func (s *stream) dechunk(b []byte) ([]byte, error) {
	out := b[:0]
	for len(b) > 0 {
		switch s.phase {
		case inChunk:
			n := min(s.left, len(b))
			out = append(out, b[:n]...)
			b = b[n:]
			if s.left -= n; s.left == 0 {
				s.phase = inEnd
			}
		case inEnd:
			if b[0] == '\n' {
				s.phase, s.left = inSize, 0
			}
			b = b[1:]
		default:
			switch c := b[0]; c {
			case '\r':
			case '\n':
				if s.left == 0 {
					return nil, errors.New("the server ended the stream")
				}
				s.phase = inChunk
			default:
				d, err := strconv.ParseUint(string(c), 16, 8)
				if err != nil || s.left > 1<<24 {
					return nil, fmt.Errorf("size of a chunk has a %q", c)
				}
				s.left = s.left<<4 | int(d) //nolint:gosec // below 16
			}
			b = b[1:]
		}
	}
	return out, nil
}
