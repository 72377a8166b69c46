package check

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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
	const name, perAddress = "example.com", 256 // the name that httptest has a certificate for
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // not on everybody's path
	}
	dir := t.TempDir()
	authority := certificate(t, filepath.Join(dir, "ell.pem"), filepath.Join(dir, "ell.key"))
	inside, outside := freeAddr(t), freeAddr(t)
	start(t, "ell", ell, "--data", filepath.Join(dir, "data"), "--speed", "10", "--at", "2026-04-14 07:00",
		"--http-addr", inside, "--kafka-addr", "127.0.0.1:0", "--registry-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0",
		"--hosts", name, "--max-viewers-per-address", "0")

	shipped, err := os.ReadFile("../nginx/ell.conf")
	if err != nil {
		t.Fatal(err)
	}
	server := string(shipped)
	for _, change := range [][2]string{{"127.0.0.1:8888", inside}, {"listen 443", "listen " + outside}, {"/etc/nginx", dir}, {"ell.example.org", name}} {
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
	ask := func(c *http.Client, path, body string, headers ...string) *http.Response {
		t.Helper()
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+name+path, strings.NewReader(body))
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
		path, body string
		headers    []string
		status     int
	}{
		"a page":                                {"/", "", nil, http.StatusOK},
		"another site's name":                   {"/", "", []string{"Host", "evil.test"}, http.StatusMisdirectedRequest},
		"metrics":                               {"/metrics", "", nil, http.StatusNotFound},
		"the clock, which is not everybody's":   {"/api/v1/clock", `{"paused":true}`, []string{"Content-Type", "application/json", "Origin", "https://" + name}, http.StatusForbidden},
		"the stream for a page of another site": {"/api/v1/stream", "", []string{"Origin", "https://evil.test"}, http.StatusForbidden},
	} {
		if res := ask(one, c.path, c.body, c.headers...); res.StatusCode != c.status || res.ProtoMajor != 2 {
			t.Errorf("%s: %s over %s, want %d", what, res.Status, res.Proto, c.status)
		}
	}
	t.Run("the stream comes at once, plain and compressed", func(t *testing.T) {
		for _, encoding := range []string{"identity", "gzip"} {
			res := ask(one, "/api/v1/stream", "", "Accept-Encoding", encoding, "Origin", "https://"+name)
			var body io.Reader = res.Body
			if encoding == "gzip" {
				if body, err = gzip.NewReader(res.Body); err != nil {
					t.Fatal(err)
				}
			}
			lines := bufio.NewScanner(body)
			lines.Buffer(nil, 1<<20)
			// A buffer of nginx holds seconds of this city's frames.
			var late, deltas int64
			for delta := false; deltas < 20 && lines.Scan(); {
				data, is := strings.CutPrefix(lines.Text(), "data: ")
				if !is || !delta {
					delta = lines.Text() == "event: delta"
					continue
				}
				var frame struct{ Sent int64 }
				if err := json.Unmarshal([]byte(data), &frame); err != nil || frame.Sent == 0 {
					t.Fatalf("a frame without its time: %.200s: %v", data, err)
				}
				deltas, late, delta = deltas+1, max(late, time.Now().UnixMilli()-frame.Sent), false
			}
			if deltas < 20 || late > 1000 {
				t.Errorf("%s: %d frames, up to %d ms after they were sent: %v", encoding, deltas, late, lines.Err())
			}
			t.Logf("%s: at most %d ms", encoding, late)
			res.Body.Close()
		}
	})
	t.Run("viewers are counted by their own addresses", func(t *testing.T) {
		two := viewer("127.0.0.3")
		for range perAddress {
			for _, c := range []*http.Client{one, two} {
				if res := ask(c, "/api/v1/stream", ""); res.StatusCode != http.StatusOK {
					t.Fatalf("a viewer is refused: %s", res.Status)
				}
			}
		}
		if res := ask(one, "/api/v1/stream", ""); res.StatusCode != http.StatusTooManyRequests {
			t.Errorf("one more than %d from one address: %s", perAddress, res.Status)
		}
	})
}

// certificate writes httptest's own and its key, and returns who trusts it.
func certificate(t *testing.T, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pair := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}
