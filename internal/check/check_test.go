package check_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"ell/internal/access"
	"ell/internal/check"
	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/registry"
	"ell/internal/testkit"
)

// has wants a finding of the level with the words in its text, and a mend
// where something is not good.
func has(t *testing.T, findings []check.Finding, level check.Level, words ...string) {
	t.Helper()
	for _, f := range findings {
		all := f.Level == level
		for _, w := range words {
			all = all && strings.Contains(f.Text, w)
		}
		if all {
			if level != check.Good && f.Mend == "" {
				t.Errorf("%v: no mend", f)
			}
			return
		}
	}
	t.Errorf("no %v with %q among %+v", level, words, findings)
}

func TestAServiceSaysWhetherItAnswersAndWhatItsClockShows(t *testing.T) {
	for name, c := range map[string]struct {
		off    time.Duration
		status int
		level  check.Level
		words  []string
	}{
		"all is well":           {0, 200, check.Good, []string{"agrees"}},
		"a second is within":    {-time.Second, 200, check.Good, []string{"agrees"}},
		"its clock is ahead":    {90 * time.Second, 200, check.Odd, []string{"ahead of this machine's", "1m"}},
		"its clock is behind":   {-time.Hour - 30*time.Second, 200, check.Odd, []string{"behind this machine's", "1h0m"}},
		"it wants a password":   {0, 401, check.Bad, []string{"401"}},
		"it is another service": {0, 404, check.Bad, []string{"404", "not here"}},
		"it does not feel well": {0, 503, check.Bad, []string{"503"}},
		"it sends us somewhere": {0, 302, check.Bad, []string{"302"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(c.off).UTC().Format(http.TimeFormat))
				w.WriteHeader(c.status)
				fmt.Fprint(w, "not\nhere")
			}))
			t.Cleanup(s.Close)
			has(t, check.HTTP(t.Context(), "x", access.HTTP{URL: s.URL}, "path", "--x", "start it"), c.level, c.words...)
		})
	}
	has(t, check.HTTP(t.Context(), "x", access.HTTP{URL: "http://127.0.0.1:1"}, "", "--x", "start it"), check.Bad, "refused")
	has(t, check.HTTP(t.Context(), "x", access.HTTP{URL: "nonsense"}, "", "--x", "start it"), check.Bad, "not an http")
}

func brokers(t *testing.T, k *testkit.Kafka) []check.Finding {
	t.Helper()
	out, err := check.Kafka(t.Context(), k.Client(t))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBrokersAreOldWithoutTheFeatureAndSaidToBe(t *testing.T) {
	has(t, brokers(t, testkit.Cluster(t, kfake.NumBrokers(3), kfake.MaxVersions(kversion.V4_0_0()))), check.Good, "3 broker(s)")
	old := testkit.Cluster(t, kfake.MaxVersions(kversion.V3_7_0()))
	has(t, brokers(t, old), check.Bad, "broker 0", "cannot run transaction.version 2")
	lower := testkit.Cluster(t)
	answers(lower, kmsg.ApiVersions, func(r kmsg.Request) kmsg.Response {
		resp := r.ResponseKind().(*kmsg.ApiVersionsResponse)
		for _, k := range []int16{0, 1, 2, 3, 18, 60} {
			a := kmsg.NewApiVersionsResponseApiKey()
			a.ApiKey, a.MaxVersion = k, 4
			resp.ApiKeys = append(resp.ApiKeys, a)
		}
		f := kmsg.NewApiVersionsResponseSupportedFeature()
		f.Name, f.MaxVersion = "transaction.version", 2
		resp.SupportedFeatures = append(resp.SupportedFeatures, f)
		return resp
	})
	has(t, brokers(t, lower), check.Bad, "transaction.version is 0")
	away, err := (kafka.Config{Brokers: []string{"127.0.0.1:1"}}).New()
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	if _, err := check.Kafka(t.Context(), away); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("brokers that are away: %v", err)
	}
}

func spec(name string) event.TopicSpec {
	return event.TopicSpec{Name: name, Partitions: 12, Compact: true}
}

func TestTopicsAreHeldAgainstTheirSpecification(t *testing.T) {
	k := testkit.Cluster(t)
	cl := k.Client(t)
	specs := []event.TopicSpec{spec("good"), spec("few"), spec("forgets"), spec("missing"), {Name: "kept", Partitions: 1, Delete: true, RetentionMS: 7}}
	made := []event.TopicSpec{specs[0], {Name: "few", Partitions: 3, Compact: true}, {Name: "forgets", Partitions: 12, Delete: true}, {Name: "kept", Partitions: 1, Delete: true, RetentionMS: 8}}
	if _, err := kafka.EnsureTopics(t.Context(), cl, made, 1); err != nil {
		t.Fatal(err)
	}
	got := check.Topics(t.Context(), cl, specs)
	has(t, got, check.Odd, "missing")
	has(t, got, check.Bad, "few", "partitions 3, want 12")
	has(t, got, check.Bad, "forgets", "cleanup.policy delete, want compact")
	has(t, got, check.Odd, "kept", "retention.ms 8, want 7")
	has(t, check.Topics(t.Context(), cl, specs[:1]), check.Good, "all 1")
}

func TestReplicationIsJudgedByTheNumberOfBrokers(t *testing.T) {
	for name, c := range map[string]struct {
		brokers, copies int
		insync          string
		level           check.Level
		words           string
	}{
		"one of one":                           {1, 1, "1", check.Good, "1 replica(s)"},
		"three of three, two in sync":          {3, 3, "2", check.Good, "3 replica(s), min.insync.replicas 2"},
		"one of three loses records":           {3, 1, "1", check.Odd, "a broker that is lost takes records with it"},
		"two of three":                         {3, 2, "1", check.Odd, "a broker that is lost"},
		"all must be in sync":                  {3, 3, "3", check.Odd, "one broker away stops all writing"},
		"one in sync is enough":                {3, 3, "1", check.Odd, "only one broker has"},
		"more in sync than there are replicas": {1, 1, "2", check.Bad, "nothing can be written"},
	} {
		t.Run(name, func(t *testing.T) {
			k := testkit.Cluster(t, kfake.NumBrokers(c.brokers))
			cl := k.Client(t)
			create(t, cl, "t", int16(c.copies), c.insync)
			has(t, check.Topics(t.Context(), cl, []event.TopicSpec{spec("t")}), c.level, c.words)
		})
	}
}

func create(t *testing.T, cl *kgo.Client, name string, copies int16, insync string) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 12, copies
	for k, v := range map[string]string{"cleanup.policy": "compact", "min.insync.replicas": insync} {
		topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: k, Value: &v})
	}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Fatal(resp, err)
	}
}

func TestTheRegistrysSchemasAndCompatibilityAreLookedAtAndNotChanged(t *testing.T) {
	fake := srfake.New(srfake.WithGlobalCompat(sr.CompatBackward))
	t.Cleanup(fake.Close)
	c, err := registry.New(registry.Config{Access: access.HTTP{URL: fake.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	schemas := event.Schemas()
	has(t, check.Registry(t.Context(), c, schemas), check.Odd, "not registered")
	if subjects, err := c.Inspect(t.Context(), schemas); err != nil || subjects[0].Known {
		t.Errorf("looking registered %v, %v", subjects[0], err)
	}
	ctx := context.Background()
	if _, err := c.Register(ctx, schemas[0].Subject, schemas[0].Text); err != nil {
		t.Fatal(err)
	}
	has(t, check.Registry(t.Context(), c, schemas[:1]), check.Odd, schemas[0].Subject, "BACKWARD, want FULL_TRANSITIVE")
	if _, err := c.RegisterAll(ctx, schemas[1:]); err != nil {
		t.Fatal(err)
	}
	has(t, check.Registry(t.Context(), c, schemas[1:]), check.Good, "FULL_TRANSITIVE")
	has(t, check.Registry(t.Context(), c, schemas), check.Odd, schemas[0].Subject, "BACKWARD")
}

func TestRightsThatAreMissingAreNamed(t *testing.T) {
	acl := func(op kmsg.ACLOperation, name string) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	k := testkit.Cluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("SCRAM-SHA-256", "admin", "admin"), kfake.SeedTopics(1, "a", "b", "c"),
		kfake.User("SCRAM-SHA-256", "ell", "secret", acl(kmsg.ACLOperationRead, "a"), acl(kmsg.ACLOperationWrite, "b")))
	cl, err := kafka.Config{Brokers: k.Addrs, SASL: kafka.SASL{Mechanism: kafka.ScramSHA256, User: "ell", Password: "secret"}}.New()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	enough := check.Rights{}
	enough.Add(kmsg.ACLOperationRead, "a")
	enough.Add(kmsg.ACLOperationWrite, "b")
	if err := enough.Verify(t.Context(), cl, "ell"); err != nil {
		t.Error(err)
	}
	more := check.Rights{}
	more.Add(kmsg.ACLOperationRead, "a", "b", "c")
	more.Add(kmsg.ACLOperationWrite, "b", "c")
	err = more.Verify(t.Context(), cl, "ell")
	for _, want := range []string{`user "ell" lacks Read on b and 1 more`, "Write on c", "kafka-acls.sh", "docs/security.md"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}

func TestTheControllersClockIsComparedWithThisMachines(t *testing.T) {
	for name, c := range map[string]struct {
		off   time.Duration
		level check.Level
		words string
	}{
		"it agrees":    {0, check.Good, "agrees"},
		"it is ahead":  {time.Hour, check.Odd, "1h0m0s ahead of"},
		"it is behind": {-5 * time.Second, check.Odd, "5s behind"},
	} {
		t.Run(name, func(t *testing.T) {
			k := testkit.Cluster(t)
			answers(k, kmsg.ApiVersions, func(r kmsg.Request) kmsg.Response {
				resp := r.ResponseKind().(*kmsg.ApiVersionsResponse)
				for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.ApiVersions, kmsg.DescribeQuorum} {
					a := kmsg.NewApiVersionsResponseApiKey()
					a.ApiKey, a.MaxVersion = int16(key), 1
					resp.ApiKeys = append(resp.ApiKeys, a)
				}
				return resp
			})
			answers(k, kmsg.DescribeQuorum, func(r kmsg.Request) kmsg.Response {
				resp := r.ResponseKind().(*kmsg.DescribeQuorumResponse)
				v := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
				v.ReplicaID, v.LastFetchTimestamp = 3, time.Now().Add(c.off).UnixMilli()
				p := kmsg.NewDescribeQuorumResponseTopicPartition()
				p.LeaderID, p.CurrentVoters = 3, []kmsg.DescribeQuorumResponseTopicPartitionReplicaState{{ReplicaID: 2, LastFetchTimestamp: 1}, v}
				topic := kmsg.NewDescribeQuorumResponseTopic()
				topic.Partitions = append(topic.Partitions, p)
				resp.Topics = append(resp.Topics, topic)
				return resp
			})
			has(t, brokers(t, k), c.level, c.words)
		})
	}
}

// answers makes the cluster answer requests of a kind in its own way.
func answers(k *testkit.Kafka, key kmsg.Key, f func(kmsg.Request) kmsg.Response) {
	k.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		return f(r), nil, true
	})
}
