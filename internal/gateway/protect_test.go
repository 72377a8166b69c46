package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"ell/internal/access"
	"ell/internal/gateway"
	"ell/internal/kafka"
	"ell/internal/registry"
	"ell/internal/testkit"
	"ell/test/secure"
)

func TestAProtectedGatewayAnswersOnlyThoseWhoMayAsk(t *testing.T) {
	fake := srfake.New()
	t.Cleanup(fake.Close)
	reg, err := registry.New(registry.Config{Access: access.HTTP{URL: fake.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	a := secure.NewAuthority(t)
	cert, key := a.Issue("gateway")
	g, err := gateway.New(gateway.Config{
		Addr: "127.0.0.1:0", Kafka: kafka.Config{Brokers: testkit.Cluster(t).Addrs}, Registry: reg,
		Protect: access.Listener{CertFile: cert, KeyFile: key, User: "device", Password: "right"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for name, c := range map[string]struct {
		user, password string
		status         int
		body           string
	}{
		"the right password": {"device", "right", http.StatusOK, "brokers"},
		"a wrong password":   {"device", "wrong", http.StatusUnauthorized, `"error_code":40101`},
		"no password":        {"", "", http.StatusUnauthorized, `"error_code":40101`},
	} {
		h := access.HTTP{URL: "https://" + g.Addr(), User: c.user, Password: access.Secret(c.password), TLS: access.TLS{CAFile: a.CAFile}}
		client, err := h.Client(0)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"brokers", "topics", "nowhere"} {
			resp, err := client.Get(h.Join(path))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			denied := c.status == http.StatusUnauthorized
			if err != nil || (resp.StatusCode == http.StatusUnauthorized) != denied || denied != strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("%s, /%s: %s %s, %v", name, path, resp.Status, body, err)
			}
			if path == "brokers" && !strings.Contains(string(body), c.body) {
				t.Errorf("%s: %s", name, body)
			}
		}
		client.CloseIdleConnections()
	}
	if resp, err := http.Get("http://" + g.Addr() + "/brokers"); err == nil && resp.StatusCode == http.StatusOK {
		t.Error("it answers without TLS")
	}
}
