package check

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNginxInFrontOfTheWebsite runs the shipped configuration in a real nginx
// before a real ell: but for name, paths and ports it is used as it stands.
func TestNginxInFrontOfTheWebsite(t *testing.T) {
	const name, perAddress = "ell.example.org", 256
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // not on everybody's path
	}
	dir := t.TempDir()
	authority := selfSigned(t, name, filepath.Join(dir, "ell.pem"), filepath.Join(dir, "ell.key"))
	inside, outside := freeAddr(t), freeAddr(t)
	start(t, "ell", ell, "--data", filepath.Join(dir, "data"), "--speed", "60", "--at", "2026-04-14 07:00",
		"--http-addr", inside, "--kafka-addr", "127.0.0.1:0", "--registry-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0",
		"--hosts", name, "--max-viewers-per-address", "0")

	shipped, err := os.ReadFile("../nginx/ell.conf")
	if err != nil {
		t.Fatal(err)
	}
	server := string(shipped)
	for _, change := range [][2]string{{"127.0.0.1:8888", inside}, {"listen 443", "listen " + outside}, {"/etc/nginx", dir}} {
		if !strings.Contains(server, change[0]) {
			t.Fatalf("ell.conf has no %q", change[0])
		}
		server = strings.ReplaceAll(server, change[0], change[1])
	}
	conf := filepath.Join(dir, "nginx.conf")
	main := fmt.Sprintf("daemon off; worker_processes 1; pid %[1]s/pid; error_log stderr warn;\nevents { worker_connections 4096; }\n"+
		"http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n%s\n}\n", dir, server)
	if err := os.WriteFile(conf, []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "nginx", program, "-p", dir, "-e", "stderr", "-c", conf)

	// viewer is a client with an address of its own.
	viewer := func(from string) *http.Client {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		return &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig: &tls.Config{RootCAs: authority, ServerName: name},
			DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "tcp", outside) },
		}}
	}
	ask := func(c *http.Client, method, path string, headers ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+name+path, strings.NewReader(strings.Repeat(`{"paused":true}`, len(method)/4)))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		req.Host = req.Header.Get("Host")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	one := viewer("127.0.0.2")
	if !eventually(30*time.Second, func() bool {
		res, err := one.Get("https://" + name + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}) {
		t.Fatal("the website is not ready behind nginx")
	}
	for what, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
	}{
		"a page":                                {"GET", "/", nil, http.StatusOK},
		"another site's name":                   {"GET", "/", []string{"Host", "evil.test"}, http.StatusMisdirectedRequest},
		"metrics":                               {"GET", "/metrics", nil, http.StatusNotFound},
		"the clock, which is not everybody's":   {"POST", "/api/v1/clock", []string{"Content-Type", "application/json", "Origin", "https://" + name}, http.StatusForbidden},
		"the stream for a page of another site": {"GET", "/api/v1/stream", []string{"Origin", "https://evil.test"}, http.StatusForbidden},
	} {
		if res := ask(one, c.method, c.path, c.headers...); res.StatusCode != c.status || res.ProtoMajor != 2 {
			t.Errorf("%s: %s over %s, want %d", what, res.Status, res.Proto, c.status)
		}
	}
	t.Run("the stream comes at once, plain and compressed", func(t *testing.T) {
		for _, encoding := range []string{"identity", "gzip"} {
			res := ask(one, "GET", "/api/v1/stream", "Accept-Encoding", encoding, "Origin", "https://"+name)
			var body io.Reader = res.Body
			if encoding == "gzip" {
				if body, err = gzip.NewReader(res.Body); err != nil {
					t.Fatal(err)
				}
			}
			deltas := 0
			lines := bufio.NewScanner(body)
			lines.Buffer(nil, 1<<20)
			// What nginx held back would come by the buffer, of 4 or 8 KiB: dozens of frames
			// at once, the first after seconds.
			for last := time.Now(); deltas < 10 && lines.Scan(); {
				if lines.Text() != "event: delta" {
					continue
				}
				deltas++
				if took := time.Since(last); took > 2*time.Second {
					t.Errorf("%s: a frame after %v", encoding, took)
				}
				last = time.Now()
			}
			if deltas < 10 {
				t.Errorf("%s: the stream ended after %d frames: %v", encoding, deltas, lines.Err())
			}
			res.Body.Close()
		}
	})
	t.Run("viewers are counted by their own addresses", func(t *testing.T) {
		two := viewer("127.0.0.3")
		for range perAddress {
			for _, c := range []*http.Client{one, two} {
				if res := ask(c, "GET", "/api/v1/stream"); res.StatusCode != http.StatusOK {
					t.Fatalf("a viewer is refused: %s", res.Status)
				}
			}
		}
		if res := ask(one, "GET", "/api/v1/stream"); res.StatusCode != http.StatusTooManyRequests {
			t.Errorf("one more than %d from one address: %s", perAddress, res.Status)
		}
	})
}

// selfSigned writes a certificate for name and its key, and returns who trusts it.
func selfSigned(t *testing.T, name, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	like := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, like, like, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, text := range map[string][]byte{certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}
