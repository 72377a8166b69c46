// Package stack runs the built binary on Apache Kafka, Kafka Connect with
// Debezium, PostgreSQL and a schema registry, all started by deploy/local, and
// breaks them. It needs Java, Maven and PostgreSQL, and runs only where
// ELL_TEST_STACK is set: `make stack-test` (short) and `make test-faults`.
package stack

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/faultnet"
	"ell/internal/kafka"
	"ell/test/system"
)

// binary is the ell that all tests run.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv("ELL_TEST_STACK") == "" {
		fmt.Println("test/stack: skipped; make stack-test runs it on real Kafka")
		return
	}
	system.Main(m, &binary)
}

// long skips the long tests in a short run.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("part of make test-faults")
	}
}

const postgresPassword = "chicago" // of deploy/local, which listens on loopback only

// cluster is a stack of deploy/local of a test's own.
type cluster struct {
	t       *testing.T
	dir     string
	base    int // added to every port
	brokers int
	env     []string
}

// startCluster starts a stack; parts as deploy/local/up takes them, none: all.
// It is stopped and wiped when the test ends.
func startCluster(t *testing.T, brokers int, parts ...string) *cluster {
	t.Helper()
	c := newCluster(t, brokers)
	c.first(parts...)
	return c
}

// newCluster prepares a stack that is not started yet.
func newCluster(t *testing.T, brokers int) *cluster {
	t.Helper()
	t.Setenv("ELL_POSTGRES_PASSWORD", postgresPassword)
	// The database runs as a user of its own, who must reach the folder.
	dir, err := os.MkdirTemp("", "ell-stack-") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // for the database's user
		t.Fatal(err)
	}
	c := &cluster{t: t, dir: dir, base: freeBase(t), brokers: brokers}
	c.env = append(os.Environ(), "STACK_DATA="+dir, fmt.Sprintf("BROKERS=%d", brokers), fmt.Sprintf("PORT_BASE=%d", c.base), "KAFKA_HEAP=768m",
		"STACK_JVM=-XX:+UseSerialGC -XX:TieredStopAtLevel=1") // quick to start, many on few cores
	t.Cleanup(func() {
		if t.Failed() {
			c.logs()
		}
		if out, err := c.script("down", "--wipe"); err != nil {
			t.Errorf("stop the stack: %v\n%s", err, out)
		}
	})
	return c
}

// first starts the stack for the first time and says how long that took.
func (c *cluster) first(parts ...string) {
	c.t.Helper()
	begun := time.Now()
	c.up(parts...)
	c.t.Logf("%d broker(s) and their neighbours are up after %v", c.brokers, time.Since(begun).Round(time.Second))
}

// proxied puts a proxy before the third listener of every broker, before the
// stack is started. Clients that come by one of them meet all brokers through proxies.
func (c *cluster) proxied() []*faultnet.Proxy {
	c.t.Helper()
	var proxies []*faultnet.Proxy
	var addrs []string
	for i := range c.brokers {
		p, err := faultnet.New(c.port(9692 + i))
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { p.Close() })
		proxies, addrs = append(proxies, p), append(addrs, p.Addr())
	}
	c.env = append(c.env, "PROXIED="+strings.Join(addrs, ","))
	return proxies
}

// freeBase finds a shift of ports at which nothing listens.
func freeBase(t *testing.T) int {
	t.Helper()
	for base := 11000; base < 50000; base += 500 {
		free := true
		for _, port := range []int{5432, 8081, 8082, 8083, 9092, 9093, 9094, 9592, 9593, 9594, 9692, 9693, 9694} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+base))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports for a stack")
	return 0
}

func (c *cluster) script(name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join("..", "..", "deploy", "local", name), args...)
	cmd.Env = c.env
	return cmd.CombinedOutput()
}

// up starts what of the parts does not run.
func (c *cluster) up(parts ...string) {
	c.t.Helper()
	if out, err := c.script("up", parts...); err != nil {
		c.t.Fatalf("start the stack: %v\n%s", err, out)
	}
}

// logs shows the ends of what the parts have said.
func (c *cluster) logs() {
	names, _ := filepath.Glob(filepath.Join(c.dir, "run", "*.log"))
	for _, n := range names {
		if b, err := os.ReadFile(n); err == nil && len(b) > 0 {
			c.t.Logf("%s: …%s", filepath.Base(n), b[max(0, len(b)-1500):])
		}
	}
}

func (c *cluster) port(p int) string { return "127.0.0.1:" + strconv.Itoa(p+c.base) }

func (c *cluster) bootstrap() []string {
	var out []string
	for i := range c.brokers {
		out = append(out, c.port(9092+i))
	}
	return out
}

func (c *cluster) kafka() kafka.Config { return kafka.Config{Brokers: c.bootstrap()} }
func (c *cluster) registry() string    { return "http://" + c.port(8081) + "/apis/ccompat/v7" }
func (c *cluster) connect() string     { return "http://" + c.port(8083) }
func (c *cluster) postgres() string    { return "postgres://cta_admin@" + c.port(5432) + "/cta" }

// client is for looking at the cluster and asking it for things.
func (c *cluster) client() *kgo.Client {
	c.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap()...))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// pid is the process of a part: kafka-1, registry, connect or postgres.
func (c *cluster) pid(part string) int {
	c.t.Helper()
	name := filepath.Join(c.dir, "run", part+".pid")
	if part == "postgres" {
		name = filepath.Join(c.dir, "postgres", "postmaster.pid")
	}
	b, err := os.ReadFile(name)
	if err != nil {
		c.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	return pid
}

// signal sends a signal to a part.
func (c *cluster) signal(part string, sig syscall.Signal) {
	c.t.Helper()
	if err := syscall.Kill(c.pid(part), sig); err != nil {
		c.t.Fatalf("signal %s: %v", part, err)
	}
}

// runs says whether a part is a process that has not ended.
func (c *cluster) runs(part string) bool {
	c.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.pid(part)))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// settings are the flags that point a role at this stack, by the given brokers.
func (c *cluster) settings(brokers []string) []string {
	return []string{
		"--brokers", strings.Join(brokers, ","), "--registry", c.registry(), "--connect", c.connect(), "--postgres", c.postgres(),
		"--replication", strconv.Itoa(c.brokers),
	}
}
