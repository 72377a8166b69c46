package access_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ell/internal/access"
	"ell/test/secure"
)

func TestASecretNeverShowsItself(t *testing.T) {
	h := access.HTTP{URL: "http://localhost", User: "u", Password: "hunter2", Token: "hunter2"}
	l := access.Listener{User: "u", Password: "hunter2"}
	var buf bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
		slog.New(handler).Info("x", "http", h, "listener", l, "secret", h.Password)
	}
	fmt.Fprintf(&buf, "%v %+v %#v %s %q %v %+v %#v", h, h, h, h.Password, h.Password, l, l, l)
	if err := json.NewEncoder(&buf).Encode(h); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(buf.String(), "hunter2") || !strings.Contains(buf.String(), "redacted") {
		t.Error(buf.String())
	}
}

func TestValidateRefusesWhatWouldBeUnsafeOrContradictsItself(t *testing.T) {
	for name, c := range map[string]struct {
		h    access.HTTP
		want string // "": valid
	}{
		"a plain URL":                          {access.HTTP{URL: "http://registry:8081/prefix"}, ""},
		"a password over TLS":                  {access.HTTP{URL: "https://registry", User: "u", Password: "p"}, ""},
		"a password on this machine":           {access.HTTP{URL: "http://127.0.0.1:8081", User: "u", Password: "p"}, ""},
		"a token on this machine":              {access.HTTP{URL: "http://[::1]:8081", Token: "t"}, ""},
		"a password in the clear":              {access.HTTP{URL: "http://registry", User: "u", Password: "p"}, "in the clear"},
		"a token in the clear":                 {access.HTTP{URL: "http://registry", Token: "t"}, "in the clear"},
		"a host that only looks like loopback": {access.HTTP{URL: "http://127.0.0.1.example.org", Token: "t"}, "in the clear"},
		"a password in the URL":                {access.HTTP{URL: "https://u:hunter2@registry"}, "must not hold"},
		"no URL":                               {access.HTTP{}, "not an http"},
		"another scheme":                       {access.HTTP{URL: "ftp://u:hunter2@registry"}, "not an http"},
		"a URL that is none":                   {access.HTTP{URL: "http://u:hunter2@x:port"}, "not an http"},
		"a query":                              {access.HTTP{URL: "http://x?password=hunter2"}, "query"},
		"a user without a password":            {access.HTTP{URL: "https://x", User: "u"}, "needs a password"},
		"both a user and a token":              {access.HTTP{URL: "https://x", User: "u", Password: "p", Token: "t"}, "keep one"},
		"TLS files for a URL without TLS":      {access.HTTP{URL: "http://x", TLS: access.TLS{CAFile: "ca.pem"}}, "use https"},
		"a certificate without its key":        {access.HTTP{URL: "https://x", TLS: access.TLS{CertFile: "c.pem"}}, "needs its key"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.h.Validate()
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// served starts a TLS server that answers with the Authorization it got.
func served(t *testing.T, a *secure.Authority, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = a.Server()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, h access.HTTP, url string) (*http.Response, error) {
	t.Helper()
	c, err := h.Client(5 * time.Second)
	if err != nil {
		return nil, err
	}
	defer c.CloseIdleConnections()
	return c.Get(url)
}

func TestTheSecretGoesToItsServiceAndNowhereElse(t *testing.T) {
	a := secure.NewAuthority(t)
	var got, elsewhere string
	other := served(t, a, func(_ http.ResponseWriter, r *http.Request) { elsewhere += r.Header.Get("Authorization") + "," })
	s := served(t, a, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	for _, c := range []struct {
		h    access.HTTP
		want string
	}{
		{access.HTTP{User: "u", Password: "p"}, "Basic dTpw"},
		{access.HTTP{Token: "t"}, "Bearer t"},
		{access.HTTP{}, ""},
	} {
		c.h.URL, c.h.TLS = s.URL, access.TLS{CAFile: a.CAFile}
		resp, err := get(t, c.h, s.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got != c.want || resp.StatusCode != http.StatusTemporaryRedirect {
			t.Errorf("sent %q and got %s; want %q, and the redirect not followed", got, resp.Status, c.want)
		}
		if _, err := get(t, c.h, other.URL); err != nil {
			t.Fatal(err)
		}
	}
	if elsewhere != ",,," {
		t.Errorf("another host got %q", elsewhere)
	}
}

func TestAnUntrustedCertificateIsNamedWithItsMend(t *testing.T) {
	a, other := secure.NewAuthority(t), secure.NewAuthority(t)
	s := served(t, a, func(http.ResponseWriter, *http.Request) {})
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	mutual := httptest.NewUnstartedServer(http.NotFoundHandler())
	mutual.TLS = a.Server()
	mutual.TLS.ClientAuth = 4 // tls.RequireAndVerifyClientCert
	mutual.StartTLS()
	t.Cleanup(mutual.Close)
	ca := access.TLS{CAFile: a.CAFile}
	for name, h := range map[string]access.HTTP{
		"another authority":                  {URL: s.URL, TLS: access.TLS{CAFile: other.CAFile}},
		"the system's authorities":           {URL: s.URL},
		"a service without TLS":              {URL: strings.Replace(plain.URL, "http:", "https:", 1), TLS: ca},
		"a service that wants a certificate": {URL: mutual.URL, TLS: ca},
	} {
		_, err := get(t, h, h.URL)
		if !access.Distrusted(err) || !strings.Contains(fmt.Sprint(access.Explain(err, "--registry")), "--registry-ca") {
			t.Errorf("%s: %v", name, err)
		}
	}
	cert, key := a.Issue("client")
	if resp, err := get(t, access.HTTP{URL: mutual.URL, TLS: access.TLS{CAFile: a.CAFile, CertFile: cert, KeyFile: key}}, mutual.URL); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("with a certificate: %v", err)
	}
	if _, err := get(t, access.HTTP{URL: "http://127.0.0.1:1"}, "http://127.0.0.1:1"); err == nil || access.Distrusted(err) {
		t.Errorf("a service that is away is no matter of trust: %v", err)
	}
}

func TestFilesThatAreNotWhatTheyShouldBeAreNamed(t *testing.T) {
	a := secure.NewAuthority(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cert, _ := a.Issue("one")
	_, key := a.Issue("two")
	for name, c := range map[string]access.TLS{
		"an authority that is not there": {CAFile: "/nonexistent/ca.pem"},
		"an authority that is no PEM":    {CAFile: empty},
		"another certificate's key":      {CertFile: cert, KeyFile: key},
	} {
		_, err := c.Config()
		if err == nil || !strings.Contains(err.Error(), ".pem") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAListenerAsksForTLSAndAPassword(t *testing.T) {
	a := secure.NewAuthority(t)
	cert, key := a.Issue("gateway")
	l := access.Listener{CertFile: cert, KeyFile: key, User: "device", Password: "right"}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := l.Wrap(inner)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.Allows(r) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})}
	go s.Serve(wrapped)
	t.Cleanup(func() { s.Close() })
	h := access.HTTP{URL: l.Scheme() + "://" + inner.Addr().String(), TLS: access.TLS{CAFile: a.CAFile}}
	for _, c := range []struct {
		user, password string
		want           int
	}{{"device", "right", 200}, {"device", "wrong", 401}, {"Device", "right", 401}, {"device", "right ", 401}, {"", "", 401}} {
		h.User, h.Password = c.user, access.Secret(c.password)
		resp, err := get(t, h, h.URL)
		if err != nil || resp.StatusCode != c.want {
			t.Errorf("%q with %q: %v, %v, want %d", c.user, c.password, resp, err, c.want)
		}
	}
	// A renewed certificate is used at once.
	time.Sleep(time.Millisecond)
	newCert, newKey := a.Issue("renewed")
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h.User, h.Password = "device", "right"
	resp, err := get(t, h, h.URL)
	if err != nil || resp.TLS.PeerCertificates[0].Subject.CommonName != "renewed" {
		t.Errorf("after a renewal: %v", err)
	}
	if _, err := (access.Listener{CertFile: cert}).Wrap(inner); err == nil {
		t.Error("a certificate without its key was taken")
	}
	if (access.Listener{User: "u"}).Validate() == nil {
		t.Error("a user without a password was taken")
	}
}
