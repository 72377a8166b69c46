package secure

import (
	"context"
	"crypto/rand"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"ell/internal/access"
	"ell/internal/kafka"
)

// Admin is the user of every cluster that may do everything.
const Admin = "admin"

// Cluster is a protected Kafka cluster: TLS, SASL and authorization.
type Cluster struct {
	Authority *Authority
	Broker    string // host:port
	Mechanism string // of all users
	// Password is the admin's; AddUser makes further users.
	Password string
	AddUser  func(ctx context.Context, name, password string)
	// Silent clusters close the connection on a wrong password, without a word.
	Silent bool
}

// config is how a user reaches the cluster.
func (c *Cluster) config(user, password string) kafka.Config {
	return kafka.Config{
		Brokers: []string{c.Broker}, TLS: &access.TLS{CAFile: c.Authority.CAFile},
		SASL: kafka.SASL{Mechanism: c.Mechanism, User: user, Password: access.Secret(password)},
	}
}

// Client makes the admin's client.
func (c *Cluster) Client(t *testing.T) *kgo.Client {
	t.Helper()
	cl, err := c.config(Admin, c.Password).New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// Secrets are those of one test: random, so that each can be looked for.
type Secrets map[string]string

// New makes a secret for a purpose.
func (s Secrets) New(purpose string) string {
	s[purpose] = "hidden-" + rand.Text()
	return s[purpose]
}

// Registry starts a schema registry that speaks TLS and wants user "ell" with
// the password, or the token.
func Registry(t *testing.T, a *Authority, password, token string) (url string) {
	t.Helper()
	inner := srfake.NewRegistry().Handler()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, got, _ := r.BasicAuth()
		if (user != "ell" || got != password) && r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			w.Write([]byte(`{"error_code":40101,"message":"Unauthorized"}`))
			return
		}
		inner.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = a.Server()
	s.StartTLS()
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "localhost", "127.0.0.1", 1)
}
