package access

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// WrongHost is what a client is told whose request is for another host.
const WrongHost = "this server does not answer for that host name; add it with --hosts"

// Hosts are the host names that requests to a listener may be for. A page of
// another site whose name was pointed at the listener (DNS rebinding) could
// read and write everything otherwise, as if it came from here.
type Hosts struct {
	further  map[string]bool
	loopback bool
	any      bool
}

// NewHosts returns the hosts of a listener at addr: on loopback they are
// localhost, the loopback addresses and the further names; elsewhere any
// address and the further names, or any name where there are none.
func NewHosts(addr net.Addr, further []string) Hosts {
	t, ok := addr.(*net.TCPAddr)
	h := Hosts{further: make(map[string]bool), loopback: ok && t.IP.IsLoopback()}
	for _, name := range further {
		h.further[canonical(name)] = true
	}
	if h.loopback {
		h.further["localhost"] = true
	}
	h.any = !h.loopback && len(further) == 0
	return h
}

// Include says whether a request with the given Host header, with or without a port, is for the listener.
func (h Hosts) Include(host string) bool {
	if h.any {
		return true
	}
	name := host
	if bare, _, err := net.SplitHostPort(host); err == nil {
		name = bare
	}
	name = canonical(strings.Trim(name, "[]"))
	if h.further[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && (ip.IsLoopback() || !h.loopback)
}

// canonical is a host name as it is compared: without case and the root's dot.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Guard answers requests for other hosts with 421 and WrongHost.
func (h Hosts) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.Include(r.Host) {
			http.Error(w, WrongHost, http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
