package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"ell/internal/board"
	"ell/internal/cta"
	"ell/internal/hub"
)

// document is an answer that is known beforehand: its bytes, the same
// compressed, and the tag of both, which is weak as they are not the same bytes.
type document struct {
	contentType string
	cache       string
	etag        string
	plain       []byte
	gzip        []byte // nil: not worth it
}

// minGzip is the size from which compression is worth its header.
const minGzip = 860

func newDocument(contentType, cache string, body []byte) (*document, error) {
	sum := sha256.Sum256(body)
	d := &document{contentType: contentType, cache: cache, plain: body, etag: `W/"` + hex.EncodeToString(sum[:12]) + `"`}
	if len(body) < minGzip {
		return d, nil
	}
	packed, err := pack(body, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if len(packed) < len(body)*9/10 {
		d.gzip = packed
	}
	return d, nil
}

func pack(body []byte, level int) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return b.Bytes(), nil
}

// ServeHTTP answers with the document, or that the client has it already.
func (d *document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", d.cache)
	h.Set("ETag", d.etag)
	h.Set("Vary", "Accept-Encoding")
	if matches(r.Header.Get("If-None-Match"), d.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := d.plain
	if d.gzip != nil && hub.AcceptsGzip(r.Header.Values("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = d.gzip
	}
	h.Set("Content-Type", d.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // a client that is gone needs nothing more
}

// matches compares weakly, as If-None-Match wants.
func matches(header, etag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

func networkDocument(n *cta.Network) (*document, error) {
	body, err := board.NetworkDocument(n)
	if err != nil {
		return nil, err
	}
	return newDocument("application/json", "no-cache", body)
}

// failure is an error that the client is told, with its status.
type failure struct {
	code   int
	reason string
}

func (f *failure) Error() string { return f.reason }

func notFound(what, id string) error {
	if len(id) > 64 {
		id = id[:64]
	}
	return &failure{http.StatusNotFound, fmt.Sprintf("there is no %s %q", what, id)}
}

func badRequest(format string, args ...any) error {
	return &failure{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// api adapts a function that returns a document to a handler that writes it as JSON.
func (s *Server) api(f func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		doc, err := f(r)
		if err != nil {
			s.apiError(w, r, err)
			return
		}
		body, err := json.Marshal(doc)
		if err != nil {
			s.apiError(w, r, fmt.Errorf("encode answer: %w", err))
			return
		}
		s.send(w, r, "application/json", append(body, '\n'))
	})
}

func (s *Server) apiError(w http.ResponseWriter, r *http.Request, err error) {
	if f, ok := errors.AsType[*failure](err); ok {
		writeError(w, r, f.code, f.reason)
		return
	}
	s.cfg.Logger.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "err", err)
	writeError(w, r, http.StatusInternalServerError, "internal error")
}

// send answers with a body made for this request.
func (s *Server) send(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Vary", "Accept-Encoding")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	if len(body) >= minGzip && hub.AcceptsGzip(r.Header.Values("Accept-Encoding")) {
		if packed, err := pack(body, gzip.BestSpeed); err == nil {
			h.Set("Content-Encoding", "gzip")
			body = packed
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs nothing more
	}
}
