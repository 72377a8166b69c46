package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/access"
	"ell/internal/event"
	"ell/internal/kafka"
)

// cluster starts a broker for the test and says how to reach it.
func cluster(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, kafka.Config) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, kafka.Config{Brokers: c.ListenAddrs(), ClientID: "test"}
}

func client(t *testing.T, cfg kafka.Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := cfg.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestConfigValidate(t *testing.T) {
	good := kafka.Config{Brokers: []string{"127.0.0.1:9092"}}
	for name, c := range map[string]struct {
		change func(*kafka.Config)
		want   []string // parts of the error; none: valid
	}{
		"a broker is enough":                    {func(*kafka.Config) {}, nil},
		"no broker names the flag":              {func(c *kafka.Config) { c.Brokers = nil }, []string{"--brokers"}},
		"a URL is refused":                      {func(c *kafka.Config) { c.Brokers = []string{"PLAINTEXT://x:9092"} }, []string{"without a scheme"}},
		"a missing port is refused":             {func(c *kafka.Config) { c.Brokers = []string{"localhost"} }, []string{"host:port"}},
		"port 0 and port 70000 are refused":     {func(c *kafka.Config) { c.Brokers = []string{"x:0", "x:70000"} }, []string{`"0"`, `"70000"`}},
		"snappy is refused":                     {func(c *kafka.Config) { c.Compression = "snappy" }, []string{"none or gzip"}},
		"a certificate needs its key":           {func(c *kafka.Config) { c.TLS = &access.TLS{CertFile: "x"} }, []string{"certificate needs its key"}},
		"PLAIN in the clear is refused":         {func(c *kafka.Config) { c.SASL = kafka.SASL{Mechanism: "PLAIN", User: "u", Password: "p"} }, []string{"in the clear"}},
		"an unknown mechanism is named":         {func(c *kafka.Config) { c.SASL = kafka.SASL{Mechanism: "GSSAPI", User: "u", Password: "p"} }, []string{"GSSAPI"}},
		"SASL needs user and password":          {func(c *kafka.Config) { c.SASL = kafka.SASL{Mechanism: "SCRAM-SHA-256"} }, []string{"no user", "no password"}},
		"a password without a mechanism is odd": {func(c *kafka.Config) { c.SASL.Password = "p" }, []string{"without a mechanism"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			err := cfg.Validate()
			if (err == nil) != (c.want == nil) {
				t.Fatalf("got error %v", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestSecretsStayOutOfLogs(t *testing.T) {
	cfg := kafka.Config{Brokers: []string{"h:1"}, SASL: kafka.SASL{Mechanism: "PLAIN", User: "u", Password: "hunter2"}}
	var buf bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
		slog.New(h).Info("x", "cfg", cfg, "pass", cfg.SASL.Password, "sasl", cfg.SASL)
	}
	fmt.Fprintf(&buf, "%v %+v %#v %s", cfg, cfg, cfg, cfg.SASL.Password)
	if strings.Contains(buf.String(), "hunter2") {
		t.Errorf("the password is in: %s", buf.String())
	}
}

func TestClassify(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want kafka.Class
	}{
		"a fenced producer is fatal":                  {fmt.Errorf("x: %w", kerr.ProducerFenced), kafka.Fatal},
		"an old producer epoch is fatal":              {kerr.InvalidProducerEpoch, kafka.Fatal},
		"a fenced instance is fatal":                  {kerr.FencedInstanceID, kafka.Fatal},
		"a refused topic is fatal":                    {kerr.TopicAuthorizationFailed, kafka.Fatal},
		"a wrong password is fatal":                   {kerr.SaslAuthenticationFailed, kafka.Fatal},
		"a record too large is fatal":                 {kerr.MessageTooLarge, kafka.Fatal},
		"an unsupported version is fatal":             {kerr.UnsupportedVersion, kafka.Fatal},
		"a moved leader passes":                       {kerr.NotLeaderForPartition, kafka.Transient},
		"a moved coordinator passes":                  {kerr.NotCoordinator, kafka.Transient},
		"a missing topic may appear":                  {kerr.UnknownTopicOrPartition, kafka.Transient},
		"a rebalance passes":                          {kerr.RebalanceInProgress, kafka.Transient},
		"a full disk of the broker passes":            {kerr.KafkaStorageError, kafka.Transient},
		"a refused connection passes":                 {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errRefused)}, kafka.Transient},
		"a cut connection passes":                     {io.ErrUnexpectedEOF, kafka.Transient},
		"a timeout passes":                            {context.DeadlineExceeded, kafka.Transient},
		"a closed client is fatal":                    {kgo.ErrClientClosed, kafka.Fatal},
		"a cancelled context is fatal":                {context.Canceled, kafka.Fatal},
		"a poison record is poison":                   {fmt.Errorf("decode: %w", event.ErrPoison), kafka.Poison},
		"an error nobody thought of is fatal":         {errors.New("eh"), kafka.Fatal},
		"fatal wins when joined with one that passes": {errors.Join(kerr.NotCoordinator, kerr.ProducerFenced), kafka.Fatal},
		"no error is harmless":                        {nil, kafka.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			if got := kafka.Classify(c.err); got != c.want {
				t.Errorf("Classify(%v) = %v, want %v", c.err, got, c.want)
			}
		})
	}
}

func TestFromKgoFillsWithoutAllocation(t *testing.T) {
	src := &kgo.Record{
		Topic: "t", Partition: 3, Offset: 9, Key: []byte("k"), Value: []byte("v"), Timestamp: time.UnixMilli(1234),
		Headers: []kgo.RecordHeader{{Key: "pattern", Value: []byte("red")}},
	}
	var dst event.Record
	kafka.FromKgo(src, &dst)
	want := event.Record{
		Topic: "t", Partition: 3, Offset: 9, Appended: 1234, Key: []byte("k"), Value: []byte("v"),
		Headers: []event.Header{{Key: "pattern", Value: []byte("red")}},
	}
	if d := cmp.Diff(want, dst); d != "" {
		t.Error(d)
	}
	if n := testing.AllocsPerRun(100, func() { kafka.FromKgo(src, &dst) }); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

func specs(n int) []event.TopicSpec {
	var out []event.TopicSpec
	for i := range n {
		out = append(out, event.TopicSpec{
			Name: fmt.Sprintf("org.chicago.cta.station.arrivals.%d", 40000+i), Partitions: 1,
			Delete: true, RetentionBytes: 1 << 20, SegmentBytes: 1 << 18,
		})
	}
	return append(out, event.TopicSpec{Name: "TURNSTILE_SUMMARY", Partitions: 12, Compact: true})
}

func TestEnsureTopicsCreatesHundredsInOneRequest(t *testing.T) {
	c, cfg := cluster(t)
	creates := 0
	c.ControlKey(19, countRequests(&creates))
	cl := client(t, cfg)
	began := time.Now()
	report, err := kafka.EnsureTopics(deadline(t), cl, specs(300), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("301 topics in %v", time.Since(began))
	if len(report.Created) != 301 || len(report.Existing) != 0 || len(report.Differences) != 0 {
		t.Errorf("created %d, existing %d, differences %v", len(report.Created), len(report.Existing), report.Differences)
	}
	if creates != 1 {
		t.Errorf("%d CreateTopics requests, want 1", creates)
	}
	began = time.Now()
	report, err = kafka.EnsureTopics(deadline(t), cl, specs(300), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("compared in %v", time.Since(began))
	if len(report.Created) != 0 || len(report.Existing) != 301 || len(report.Differences) != 0 {
		t.Errorf("second time: created %d, existing %d, differences %v", len(report.Created), len(report.Existing), report.Differences)
	}
	if creates != 1 {
		t.Errorf("second time sent CreateTopics again")
	}
}

func TestEnsureTopicsNamesEveryDifferenceAndChangesNothing(t *testing.T) {
	_, cfg := cluster(t)
	cl := client(t, cfg)
	old := []event.TopicSpec{
		{Name: "a", Partitions: 3, Delete: true, RetentionMS: 1000},
		{Name: "b", Partitions: 12, Compact: true, Delete: true},
	}
	if _, err := kafka.EnsureTopics(deadline(t), cl, old, 1); err != nil {
		t.Fatal(err)
	}
	want := []event.TopicSpec{
		{Name: "a", Partitions: 12, Compact: true, RetentionMS: 2000, RetentionBytes: 77},
		{Name: "b", Partitions: 12, Compact: true, Delete: true},
	}
	report, err := kafka.EnsureTopics(deadline(t), cl, want, 1)
	if err != nil {
		t.Fatal(err)
	}
	diff := []kafka.Difference{
		{Topic: "a", Setting: "cleanup.policy", Want: "compact", Have: "delete"},
		{Topic: "a", Setting: "partitions", Want: "12", Have: "3"},
		{Topic: "a", Setting: "retention.bytes", Want: "77", Have: "-1"},
		{Topic: "a", Setting: "retention.ms", Want: "2000", Have: "1000"},
	}
	if d := cmp.Diff(diff, report.Differences); d != "" {
		t.Error(d)
	}
	for _, g := range report.Groups() {
		if breaks := g.Setting == "partitions" || g.Setting == "cleanup.policy"; g.Breaks() != breaks {
			t.Errorf("%v: breaks results: %v, want %v", g, g.Breaks(), breaks)
		}
	}
	report, err = kafka.EnsureTopics(deadline(t), cl, old, 1)
	if err != nil || len(report.Differences) != 0 {
		t.Errorf("the topics were changed: %v %v", report.Differences, err)
	}
}

func TestEnsureTopicsSaysWhichTopicWasRefused(t *testing.T) {
	_, cfg := cluster(t)
	_, err := kafka.EnsureTopics(deadline(t), client(t, cfg), []event.TopicSpec{{Name: "bad", Partitions: 0}}, 1)
	if err == nil || !strings.Contains(err.Error(), "topic bad") {
		t.Errorf("got %v", err)
	}
}
