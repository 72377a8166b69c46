package hub

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ServeHTTP is GET /api/v1/stream of docs/stream.md.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	enc := identity
	if AcceptsGzip(r.Header.Values("Accept-Encoding")) {
		enc = gzipped
	}
	if r.Method == http.MethodHead {
		setHeaders(w.Header(), enc)
		return
	}
	ip := address(r.RemoteAddr)
	if err := h.admit(ip); err != nil {
		h.count.refused.Add(1)
		refuse(w, err)
		return
	}
	h.count.joined.Add(1)
	p := resume(h.opt.Epoch, r.Header.Get("Last-Event-ID"))
	if !h.opt.Portable && r.ProtoMajor == 1 && r.TLS == nil && h.hijack(w, ip, enc, p) {
		return
	}
	h.servePortable(w, r, ip, enc, p)
}

func refuse(w http.ResponseWriter, err error) {
	wait := 2 + rand.IntN(8) //nolint:gosec // jitter, no secret
	if errors.Is(err, errStopping) {
		wait = 1 + rand.IntN(3) //nolint:gosec // jitter, no secret
	}
	w.Header().Set("Retry-After", strconv.Itoa(wait))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	// A viewer who is gone does not need the reason.
	_ = json.NewEncoder(w).Encode(map[string]any{"error": err.Error()})
}

func setHeaders(hd http.Header, enc int) {
	for line := range strings.SplitSeq(responseHeader, "\r\n") {
		if k, v, ok := strings.Cut(line, ": "); ok {
			hd.Set(k, v)
		}
	}
	if enc == gzipped {
		hd.Set("Content-Encoding", "gzip")
	}
}

// address is the viewer's address without port; IPv4 in IPv6 is IPv4, and an
// IPv6 viewer is counted by its /64, the least that one customer has.
func address(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}

// AcceptsGzip reads Accept-Encoding: gzip or *, without q=0.
func AcceptsGzip(values []string) bool {
	star := false
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(part, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name != "gzip" && name != "x-gzip" && name != "*" {
				continue
			}
			ok := true
			if q, found := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(params), " ", ""), "q="); found {
				f, err := strconv.ParseFloat(q, 64)
				ok = err == nil && f > 0
			}
			if name != "*" {
				return ok
			}
			star = ok
		}
	}
	return star
}

// servePortable serves one viewer in the request's own goroutine.
func (h *Hub) servePortable(w http.ResponseWriter, r *http.Request, ip netip.Addr, enc int, p position) {
	h.mu.Lock()
	if h.stopping {
		h.mu.Unlock()
		h.leave(ip)
		refuse(w, errStopping)
		return
	}
	h.portable.Add(1)
	h.mu.Unlock()
	defer h.portable.Done()
	defer h.leave(ip)
	setHeaders(w.Header(), enc)
	rc := http.NewResponseController(w)
	write := func(b []byte) bool {
		// Not every writer has deadlines (httptest has none); then the client's own end ends it.
		_ = rc.SetWriteDeadline(time.Now().Add(h.opt.Stall))
		if _, err := w.Write(b); err != nil {
			return false
		}
		if err := rc.Flush(); err != nil {
			return false
		}
		h.count.bytes.Add(uint64(len(b)))
		return true
	}
	i := rand.IntN(retries) //nolint:gosec // jitter, no secret
	if !write(h.static.prelude[enc][i]) {
		return
	}
	beat := time.NewTimer(h.opt.Heartbeat)
	defer beat.Stop()
	for {
		h.mu.Lock()
		news, stopping := h.news, h.stopping
		h.mu.Unlock()
		for b := h.next(&p, enc); b != nil; b = h.next(&p, enc) {
			if !write(b) {
				return
			}
			h.count.deliveries.Add(1)
			beat.Reset(h.opt.Heartbeat)
		}
		if stopping {
			write(h.bye(i)[enc])
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-news:
		case <-beat.C:
			if !write(h.static.beat[enc]) {
				return
			}
			beat.Reset(h.opt.Heartbeat)
		}
	}
}

// bye returns the last message, with retry hint i.
func (h *Hub) bye(i int) [encodings][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.enc.bye(h.opt.Epoch, h.last, i)
}
