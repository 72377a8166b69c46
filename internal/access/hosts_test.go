package access_test

import (
	"net"
	"testing"

	"ell/internal/access"
)

func TestHostsOfAListener(t *testing.T) {
	local, everywhere := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4zero}
	for name, c := range map[string]struct {
		at      net.Addr
		further []string
		are     []string
		not     []string
	}{
		"on loopback they are this machine's names": {local, nil,
			[]string{"127.0.0.1:8888", "localhost:8888", "LOCALHOST", "localhost.", "[::1]:8888", "127.0.0.9"},
			[]string{"evil.test", "evil.test:8888", "localhost.evil.test", "127.0.0.1.nip.io", "10.0.0.1", "0.0.0.0", ""}},
		"on loopback a further name is added": {local, []string{"Ell.example."},
			[]string{"localhost", "ell.example", "ELL.example:443", "ell.example."},
			[]string{"evil.test", "x.ell.example"}},
		"elsewhere any name is one, where none is given": {everywhere, nil,
			[]string{"ell.example", "10.0.0.1:80", "anything", ""}, nil},
		"elsewhere a name given is the only one beside addresses": {everywhere, []string{"ell.example"},
			[]string{"ell.example:80", "10.0.0.1", "[2001:db8::1]:80"},
			[]string{"evil.test", "localhost", ""}},
	} {
		h := access.NewHosts(c.at, c.further)
		for _, host := range c.are {
			if !h.Include(host) {
				t.Errorf("%s: %q is not", name, host)
			}
		}
		for _, host := range c.not {
			if h.Include(host) {
				t.Errorf("%s: %q is", name, host)
			}
		}
	}
}
