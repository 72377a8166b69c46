// Package access says how this program reaches a neighbour safely and who it
// is there: TLS with an authority and a certificate of its own, a user's
// password or a token; and how a listener of its own is protected in the same
// ways. HTTP makes the one kind of HTTP client that the project uses for
// neighbours; the Kafka client takes its TLS and its secrets from here as well.
//
// It deliberately speaks no protocol above HTTP, keeps no session and stores
// no secret.
package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
)

// Secret is a string that never shows itself in logs or printed values.
type Secret string

const redacted = "(redacted)"

// String returns a placeholder, so that %s, %v and %+v cannot leak the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString returns the placeholder for %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue returns the placeholder for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns the placeholder, so that a printed configuration (JSON
// or YAML) does not hold the secret either.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// TLS says whom to trust on the other side and which certificate to show. The
// zero value trusts the system's authorities and shows none. Files are PEM.
type TLS struct {
	CAFile   string // authorities; "": the system's
	CertFile string // with KeyFile: the client's certificate
	KeyFile  string
}

// Validate reports what is wrong with the settings alone; it opens no file.
func (t TLS) Validate() error {
	if (t.CertFile == "") != (t.KeyFile == "") {
		return errors.New("a certificate needs its key and the other way round: set both files")
	}
	return nil
}

// Config reads the files and returns a new client configuration. The client's
// certificate is read again for each connection, so that it can be renewed
// under a running program.
func (t TLS) Config() (*tls.Config, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificate authority: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read the certificate authority: no certificate in %s (want PEM)", t.CAFile)
		}
	}
	if t.CertFile != "" {
		load, err := pair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return cfg, nil
}

// pair returns a function that reads a certificate, having tried it once.
func pair(cert, key string) (func() (*tls.Certificate, error), error) {
	load := func() (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("read certificate %s with key %s: %w", cert, key, err)
		}
		return &c, nil
	}
	_, err := load()
	return load, err
}

// Distrusted says whether err is about a certificate or about TLS where there
// is none: it stays so until somebody changes a setting.
func Distrusted(err error) bool {
	var (
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		header  tls.RecordHeaderError
		alert   *net.OpError // of package tls: the other side does not take our certificate
	)
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &cert) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &header) ||
		errors.As(err, &alert) && alert.Op == "remote error"
}
