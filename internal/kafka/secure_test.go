package kafka_test

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"ell/internal/access"
	"ell/internal/kafka"
	"ell/test/secure"
)

// A broker with TLS is reached by each mechanism, and by nobody with a wrong
// secret, another authority, or no TLS.
func TestABrokerWithTLSAndSASLIsReachedByThoseItKnows(t *testing.T) {
	a, other := secure.NewAuthority(t), secure.NewAuthority(t)
	_, cfg := cluster(t, kfake.TLS(a.Server()), kfake.EnableSASL(),
		kfake.User(kafka.Plain, "plain", "secret"), kfake.User(kafka.ScramSHA256, "scram256", "secret"), kfake.User(kafka.ScramSHA512, "scram512", "secret"))
	sasl := func(mechanism, user, password string) kafka.SASL {
		return kafka.SASL{Mechanism: mechanism, User: user, Password: access.Secret(password)}
	}
	trust := &access.TLS{CAFile: a.CAFile}
	for name, c := range map[string]struct {
		tls   *access.TLS
		sasl  kafka.SASL
		works bool
	}{
		"PLAIN":                      {trust, sasl(kafka.Plain, "plain", "secret"), true},
		"SCRAM-SHA-256":              {trust, sasl(kafka.ScramSHA256, "scram256", "secret"), true},
		"SCRAM-SHA-512":              {trust, sasl(kafka.ScramSHA512, "scram512", "secret"), true},
		"a wrong password for PLAIN": {trust, sasl(kafka.Plain, "plain", "wrong"), false},
		"a wrong password for SCRAM": {trust, sasl(kafka.ScramSHA512, "scram512", "wrong"), false},
		"another user's mechanism":   {trust, sasl(kafka.ScramSHA256, "scram512", "secret"), false},
		"nobody":                     {trust, kafka.SASL{}, false},
		"another authority":          {&access.TLS{CAFile: other.CAFile}, sasl(kafka.Plain, "plain", "secret"), false},
		"no TLS":                     {nil, sasl(kafka.ScramSHA512, "scram512", "secret"), false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.TLS, cfg.SASL = c.tls, c.sasl
			limit := 5 * time.Second
			if !c.works {
				limit = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if err := client(t, cfg).Ping(ctx); (err == nil) != c.works {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAClientShowsItsCertificate(t *testing.T) {
	a := secure.NewAuthority(t)
	server := a.Server()
	server.ClientAuth = tls.RequireAndVerifyClientCert
	_, cfg := cluster(t, kfake.TLS(server))
	cert, key := a.Issue("ell")
	cfg.TLS = &access.TLS{CAFile: a.CAFile, CertFile: cert, KeyFile: key}
	if err := client(t, cfg).Ping(deadline(t)); err != nil {
		t.Error(err)
	}
	cfg.TLS = &access.TLS{CAFile: a.CAFile}
	if err := client(t, cfg).Ping(deadline(t)); kafka.Classify(err) != kafka.Fatal {
		t.Errorf("without a certificate: %v", err)
	}
}
