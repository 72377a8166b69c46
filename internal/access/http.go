package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// HTTP says how to reach an HTTP service. The scheme of the URL decides
// whether TLS is spoken.
type HTTP struct {
	URL      string // http or https; a path is kept as prefix; without user and query
	User     string // with Password: basic authentication
	Password Secret
	Token    Secret // bearer authentication instead
	TLS      TLS
}

// Validate reports every fault of the settings at once. It contacts nobody,
// opens no file, and prints no secret, not even one in the URL.
func (h HTTP) Validate() error {
	u, err := url.Parse(h.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("not an http or https URL")
	case u.User != nil:
		return errors.New("a URL must not hold a user or password, since logs and process lists show it: set them by their own settings")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("a URL with a query or fragment cannot be gone on from: leave them out")
	}
	var errs []error
	if u.Scheme == "http" && h.TLS != (TLS{}) {
		errs = append(errs, errors.New("TLS files are set but the URL begins with http: use https"))
	}
	if h.Token != "" && h.User != "" {
		errs = append(errs, errors.New("both a user and a token: keep one"))
	}
	if (h.User == "") != (h.Password == "") {
		errs = append(errs, errors.New("a user needs a password and the other way round"))
	}
	if (h.Token != "" || h.Password != "") && u.Scheme == "http" && !loopback(u.Hostname()) {
		errs = append(errs, errors.New("a password or token would travel in the clear: use https"))
	}
	return errors.Join(append(errs, h.TLS.Validate())...)
}

// loopback says whether host is this machine, so that nobody listens in.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Client makes a client for the service. It authenticates each request to the
// host of the URL and to no other, follows no redirect (it could lead
// anywhere), uses no proxy from the environment, and gives a request timeout
// in all. It contacts nobody.
func (h HTTP) Client(timeout time.Duration) (*http.Client, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(h.URL)
	if err != nil {
		return nil, err
	}
	cfg, err := h.TLS.Config()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout: timeout,
		Transport: &authenticated{http: h, host: u.Host, next: &http.Transport{
			TLSClientConfig: cfg, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// authenticated says who we are in each request.
type authenticated struct {
	http HTTP
	host string
	next *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (a *authenticated) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == a.host && (a.http.Token != "" || a.http.User != "") {
		r = r.Clone(r.Context()) // a RoundTripper must not change the caller's request
		if a.http.Token != "" {
			r.Header.Set("Authorization", "Bearer "+string(a.http.Token))
		} else {
			r.SetBasicAuth(a.http.User, string(a.http.Password))
		}
	}
	return a.next.RoundTrip(r)
}

// CloseIdleConnections lets http.Client do so.
func (a *authenticated) CloseIdleConnections() { a.next.CloseIdleConnections() }

// Listener says how a listener of this program is protected. The zero value is
// plain and open.
type Listener struct {
	CertFile, KeyFile string // PEM; both: TLS
	User              string // with Password: basic authentication is asked for
	Password          Secret
}

// Validate reports every fault of the settings at once; it opens no file.
func (l Listener) Validate() error {
	var errs []error
	if (l.CertFile == "") != (l.KeyFile == "") {
		errs = append(errs, errors.New("a certificate needs its key and the other way round: set both files"))
	}
	if (l.User == "") != (l.Password == "") {
		errs = append(errs, errors.New("a user needs a password and the other way round"))
	}
	return errors.Join(errs...)
}

// Scheme is that of the listener's URL.
func (l Listener) Scheme() string {
	if l.CertFile != "" {
		return "https"
	}
	return "http"
}

// Wrap returns a listener that speaks TLS where a certificate is set. The
// certificate is read again for each connection, so that it can be renewed.
func (l Listener) Wrap(inner net.Listener) (net.Listener, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	if l.CertFile == "" {
		return inner, nil
	}
	load, err := pair(l.CertFile, l.KeyFile)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(inner, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
	}), nil
}

// Allows says whether a request comes with the user and password asked for. It
// takes as long for a wrong password as for a right one.
func (l Listener) Allows(r *http.Request) bool {
	if l.User == "" {
		return true
	}
	user, password, _ := r.BasicAuth()
	same := func(a, b string) int {
		x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
		return subtle.ConstantTimeCompare(x[:], y[:])
	}
	return same(user, l.User)&same(password, string(l.Password)) == 1
}

// Join is the URL of a path below the service.
func (h HTTP) Join(path ...string) string {
	out, err := url.JoinPath(strings.TrimSuffix(h.URL, "/"), path...)
	if err != nil { // Validate has refused such a URL
		return h.URL
	}
	return out
}

// Explain adds the mend to an error about certificates; setting is what the
// flags of the neighbour begin with, such as "--registry".
func Explain(err error, setting string) error {
	if !Distrusted(err) {
		return err
	}
	return fmt.Errorf("%w: name the authority that signed the other side's certificate with %s-ca (and the own certificate with %s-cert, where one is asked for), or see whether it speaks TLS at all", err, setting, setting)
}
