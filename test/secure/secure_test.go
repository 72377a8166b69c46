package secure_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"ell/internal/testkit"
	"ell/test/secure"
	"ell/test/system"
)

var binary string

func TestMain(m *testing.M) { system.Main(m, &binary) }

func TestRolesOnAProtectedBroker(t *testing.T) {
	secrets := secure.Secrets{}
	c := &secure.Cluster{Authority: secure.NewAuthority(t), Mechanism: "SCRAM-SHA-512", Password: secrets.New("admin"), Silent: true}
	broker := testkit.Cluster(t, kfake.TLS(c.Authority.Server()), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser(c.Mechanism, secure.Admin, c.Password))
	c.Broker = broker.Addrs[0]
	admin := kadm.NewClient(c.Client(t))
	c.AddUser = func(ctx context.Context, name, password string) {
		t.Helper()
		_, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: name, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password}})
		if err != nil {
			t.Fatal(err)
		}
	}
	secure.NewSuite(t, binary, c, secrets).Run()
}
