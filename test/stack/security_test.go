package stack

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"ell/internal/access"
	"ell/internal/kafka"
	"ell/test/secure"
	"ell/test/system"
)

// jars is where deploy/local keeps Apache Kafka.
func jars(t *testing.T) string {
	t.Helper()
	lib := os.Getenv("STACK_LIB")
	if lib == "" {
		lib = filepath.Join("..", "..", ".cache", "stack")
	}
	dir, err := filepath.Abs(filepath.Join(lib, "kafka"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("Apache Kafka is not there: %v: deploy/local/up kafka fetches it", err)
	}
	return dir
}

// protected is one broker of Apache Kafka with authorization, and three
// listeners with TLS: one for SASL, one that knows its clients by their
// certificates, and the controller's.
type protected struct {
	secure.Cluster
	mutual string // the listener for certificates
}

// startProtected starts it; it ends with the test.
func startProtected(t *testing.T, secrets secure.Secrets) *protected {
	t.Helper()
	at, dir := system.FreePorts(t), t.TempDir()
	p := &protected{Cluster: secure.Cluster{
		Authority: secure.NewAuthority(t), Broker: at.Kafka, Mechanism: kafka.ScramSHA512, Password: secrets.New("admin"),
	}, mutual: at.Registry}
	plain := secrets.New("plain")
	cert, key := p.Authority.Issue("broker")
	// Kafka reads the key and the certificate from one file.
	store := filepath.Join(dir, "broker.pem")
	var both []byte
	for _, name := range []string{key, cert} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, b...)
	}
	settings := strings.NewReplacer(
		"@broker@", at.Kafka, "@mutual@", at.Registry, "@controller@", at.Gateway, "@dir@", dir, "@store@", store, "@ca@", p.Authority.CAFile,
		"@admin@", p.Password, "@plain@", plain,
	).Replace(protectedSettings)
	conf := filepath.Join(dir, "server.properties")
	for name, content := range map[string][]byte{store: both, conf: []byte(settings)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	classpath := filepath.Join(jars(t), "*")
	format := exec.Command("java", "-cp", classpath, "kafka.tools.StorageTool", "format", "-t", "ZWxsLXNlY3VyZS1icm9rZQ", "-c", conf,
		"--add-scram", "SCRAM-SHA-512=[name=admin,password="+p.Password+"]")
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("format the broker's folder: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "broker.log"))
	if err != nil {
		t.Fatal(err)
	}
	broker := exec.Command("java", "-Xmx512m", "-cp", classpath, "kafka.Kafka", conf)
	broker.Stdout, broker.Stderr = log, log
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		broker.Process.Kill()
		broker.Wait()
		if b, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the broker's log: …%s", b[max(0, len(b)-4000):])
		}
	})
	admin := kadm.NewClient(p.Client(t))
	begun := time.Now()
	system.Within(t, 60*time.Second, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := admin.BrokerMetadata(ctx)
		return err
	})
	t.Logf("Apache Kafka with TLS, SASL and authorization is up after %v", time.Since(begun).Round(100*time.Millisecond))
	p.AddUser = func(ctx context.Context, name, password string) {
		t.Helper()
		for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
			altered, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: name, Mechanism: m, Iterations: 4096, Password: password}})
			if err == nil {
				err = altered.Error()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

const protectedSettings = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@@controller@
listeners=SASL://@broker@,MUTUAL://@mutual@,CONTROLLER://@controller@
advertised.listeners=SASL://@broker@,MUTUAL://@mutual@
listener.security.protocol.map=SASL:SASL_SSL,MUTUAL:SSL,CONTROLLER:SSL
inter.broker.listener.name=SASL
controller.listener.names=CONTROLLER
log.dirs=@dir@/log
ssl.keystore.type=PEM
ssl.keystore.location=@store@
ssl.truststore.type=PEM
ssl.truststore.location=@ca@
listener.name.mutual.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
listener.name.mutual.ssl.principal.mapping.rules=RULE:^CN=(.*?)$/$1/
listener.name.controller.ssl.principal.mapping.rules=RULE:^CN=(.*?)$/$1/
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="@admin@";
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_ell-plain="@plain@";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:broker
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
`

// TestRolesOnAProtectedKafka is the suite of test/secure on Apache Kafka.
func TestRolesOnAProtectedKafka(t *testing.T) {
	secrets := secure.Secrets{}
	p := startProtected(t, secrets)
	secure.NewSuite(t, binary, &p.Cluster, secrets).Run()
}

// TestEveryWayToSayWhoOneIs reaches Apache Kafka by each mechanism and by a
// certificate, and is who it says; without a right it is nobody.
func TestEveryWayToSayWhoOneIs(t *testing.T) {
	secrets := secure.Secrets{}
	p := startProtected(t, secrets)
	password := secrets.New("user")
	p.AddUser(t.Context(), "ell-scram", password)
	cert, key := p.Authority.Issue("ell-certificate")
	trust := &access.TLS{CAFile: p.Authority.CAFile}
	sasl := func(mechanism, user, password string) kafka.SASL {
		return kafka.SASL{Mechanism: mechanism, User: user, Password: access.Secret(password)}
	}
	for name, c := range map[string]struct {
		user string
		cfg  kafka.Config
	}{
		"PLAIN":         {"ell-plain", kafka.Config{Brokers: []string{p.Broker}, TLS: trust, SASL: sasl(kafka.Plain, "ell-plain", secrets["plain"])}},
		"SCRAM-SHA-256": {"ell-scram", kafka.Config{Brokers: []string{p.Broker}, TLS: trust, SASL: sasl(kafka.ScramSHA256, "ell-scram", password)}},
		"SCRAM-SHA-512": {"ell-scram", kafka.Config{Brokers: []string{p.Broker}, TLS: trust, SASL: sasl(kafka.ScramSHA512, "ell-scram", password)}},
		"a certificate": {"ell-certificate", kafka.Config{Brokers: []string{p.mutual}, TLS: &access.TLS{CAFile: p.Authority.CAFile, CertFile: cert, KeyFile: key}}},
	} {
		t.Run(name, func(t *testing.T) {
			cl, err := c.cfg.New()
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			topic := strings.ReplaceAll(name, " ", "-")
			adm := kadm.NewClient(cl)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := adm.CreateTopic(ctx, 1, 1, nil, topic); err == nil || !strings.Contains(err.Error(), "AUTHORIZATION") {
				t.Errorf("without a right: %v", err)
			}
			secure.Grant(ctx, t, p.Client(t), c.user, secure.Right{Operations: []kadm.ACLOperation{kadm.OpCreate}, Resource: "topic", Name: topic})
			system.Within(t, 10*time.Second, func() error {
				_, err := adm.CreateTopic(ctx, 1, 1, nil, topic)
				return err
			})
		})
	}
	stranger := kafka.Config{Brokers: []string{p.mutual}, TLS: trust}
	cl, err := stranger.New()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := cl.Ping(ctx); err == nil || kafka.Classify(err) != kafka.Fatal {
		t.Errorf("without a certificate: %v", err)
	} else {
		t.Logf("without a certificate: %v", err)
	}
}
