package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/event"
	"ell/internal/kafka"
)

// txnVersion is the feature that ends each transaction with an epoch of its
// own, and its least level (KIP-890).
const (
	txnVersion      = "transaction.version"
	txnVersionLeast = 2
)

// Kafka looks at the brokers: who answers, which version, features, and the
// controller's clock. An error says that none could be asked.
func Kafka(ctx context.Context, cl *kgo.Client) ([]Finding, error) {
	const part = "Kafka"
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	versions, err := kadm.NewClient(cl).ApiVersions(ctx)
	if err == nil && len(versions) == 0 {
		err = errors.New("no broker is known")
	}
	if err != nil {
		return nil, fmt.Errorf("ask the brokers: %w", err)
	}
	var out []Finding
	var guesses, old, away []string
	finalized := int16(-1)
	for _, v := range versions.Sorted() {
		name := fmt.Sprintf("broker %d", v.NodeID)
		if v.Err != nil {
			away = append(away, fmt.Sprintf("%s (%s)", name, oneLine(v.Err.Error())))
			continue
		}
		guesses = append(guesses, version(v))
		if supported(v.Raw()) < txnVersionLeast {
			old = append(old, name+" ("+version(v)+")")
		}
		finalized = max(finalized, level(v.Raw()))
	}
	slices.Sort(guesses)
	guesses = slices.Compact(guesses)
	out = append(out, good(part, "%d broker(s), Kafka %s", len(versions)-len(away), strings.Join(guesses, " and ")))
	if len(away) > 0 {
		out = append(out, bad(part, "start it, or see whether its advertised address can be reached from here", "%s does not answer", strings.Join(away, ", ")))
	}
	if len(old) > 0 {
		out = append(out, bad(part, "upgrade to Kafka 4.0 or later", "%s cannot run %s %d", strings.Join(old, ", "), txnVersion, txnVersionLeast))
	} else if finalized < txnVersionLeast && len(guesses) > 0 {
		out = append(out, bad(part, "kafka-features.sh --bootstrap-server … upgrade --feature transaction.version=2",
			"%s is %d: a delayed end of one transaction can end the next", txnVersion, max(finalized, 0)))
	}
	return append(out, controllerClock(ctx, cl)...), nil
}

// version is the broker's, as far as the requests that it knows tell; the
// embedded broker hides newer forms of some.
func version(v kadm.BrokerApiVersions) string {
	if guess := v.VersionGuess(); strings.HasPrefix(guess, "v") || strings.HasPrefix(guess, "at least") {
		return guess
	}
	return "of another make"
}

func supported(v *kmsg.ApiVersionsResponse) int16 {
	for _, f := range v.SupportedFeatures {
		if f.Name == txnVersion {
			return f.MaxVersion
		}
	}
	return 0
}

func level(v *kmsg.ApiVersionsResponse) int16 {
	for _, f := range v.FinalizedFeatures {
		if f.Name == txnVersion {
			return f.MaxVersionLevel
		}
	}
	return 0
}

// controllerClock compares clocks by what the active controller says of
// itself. Brokers tell their time nowhere else without being written to.
func controllerClock(ctx context.Context, cl *kgo.Client) []Finding {
	req := kmsg.NewPtrDescribeQuorumRequest()
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = "__cluster_metadata"
	t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, t)
	before := time.Now()
	resp, err := req.RequestWith(ctx, cl)
	after := time.Now()
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	switch {
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return []Finding{odd("Kafka", "allow Describe on the cluster to whoever checks", "its clock was not compared: this user may not ask for the quorum")}
	case err != nil: // a cluster without a quorum of its own, such as the embedded broker
		return nil
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			for _, v := range p.CurrentVoters {
				if v.ReplicaID == p.LeaderID && v.LastFetchTimestamp > 0 {
					return []Finding{skew("Kafka", time.UnixMilli(v.LastFetchTimestamp), before, after, time.Millisecond)}
				}
			}
		}
	}
	return nil
}

// Topics compares the topics of specs with those of the cluster, and looks
// whether replication and min.insync.replicas keep what was acknowledged.
func Topics(ctx context.Context, cl *kgo.Client, specs []event.TopicSpec) []Finding {
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	report, err := kafka.CheckTopics(ctx, cl, specs)
	if err != nil {
		return []Finding{bad("topics", "allow Describe and DescribeConfigs on them to this user", "%v", err)}
	}
	var out []Finding
	if len(report.Missing) > 0 {
		out = append(out, odd("topics", "any role whose user may create topics creates them when it starts", "not there: %s", few(report.Missing)))
	}
	for _, d := range report.Groups() {
		if d.Breaks() {
			out = append(out, bad("topics", d.Mend(), "%v", d))
		} else {
			out = append(out, odd("topics", d.Mend()+", or leave it if that is meant", "%v", d))
		}
	}
	if len(out) == 0 {
		out = append(out, good("topics", "all %d as they should be", len(specs)))
	}
	return append(out, replication(ctx, cl, report.Existing)...)
}

// replicas is how often topics are replicated and how many copies must have a
// record before it is acknowledged.
type replicas struct{ copies, insync int }

// replication judges the topics' replication against the number of brokers.
func replication(ctx context.Context, cl *kgo.Client, topics []string) []Finding {
	if len(topics) == 0 {
		return nil
	}
	adm := kadm.NewClient(cl)
	internal := []string{"__transaction_state", "__consumer_offsets"}
	if _, err := adm.Metadata(ctx, internal...); err == nil { // not everybody may see them
		topics = append(slices.Clone(topics), internal...)
	}
	meta, err := adm.Metadata(ctx, topics...)
	if err != nil {
		return []Finding{bad("replication", "see whether this user may describe topics", "%v", err)}
	}
	configs, err := adm.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return []Finding{bad("replication", "see whether this user may describe the settings of topics", "%v", err)}
	}
	insync := map[string]int{}
	for _, c := range configs {
		for _, kv := range c.Configs {
			if kv.Key == "min.insync.replicas" && kv.Value != nil {
				insync[c.Name], _ = strconv.Atoi(*kv.Value) // what is no number is as good as not told: 0
			}
		}
	}
	kinds := map[replicas][]string{}
	for _, t := range meta.Topics.Sorted() {
		if t.Err == nil && len(t.Partitions) > 0 && insync[t.Topic] > 0 {
			r := replicas{t.Partitions.NumReplicas(), insync[t.Topic]}
			kinds[r] = append(kinds[r], t.Topic)
		}
	}
	var out []Finding
	for _, r := range slices.SortedFunc(maps.Keys(kinds), func(a, b replicas) int { return cmp.Or(a.copies-b.copies, a.insync-b.insync) }) {
		out = append(out, r.judge(len(meta.Brokers), kinds[r]))
	}
	return out
}

// judge says what the loss of a broker would do to topics that are replicated so.
func (r replicas) judge(brokers int, topics []string) Finding {
	const (
		part  = "replication"
		alter = "kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name … --add-config min.insync.replicas="
	)
	have := fmt.Sprintf("%s: %d replica(s), min.insync.replicas %d", few(topics), r.copies, r.insync)
	switch {
	case r.insync > r.copies:
		return bad(part, alter+strconv.Itoa(max(1, r.copies-1)), "%s: nothing can be written", have)
	case r.copies < min(3, brokers):
		return odd(part, "kafka-reassign-partitions.sh gives a topic more replicas; --replication 3 or the brokers' default.replication.factor new topics",
			"%s on %d brokers: a broker that is lost takes records with it", have, brokers)
	case r.copies > 1 && r.insync == r.copies:
		return odd(part, alter+strconv.Itoa(r.copies-1), "%s: one broker away stops all writing", have)
	case r.copies > 2 && r.insync < 2:
		return odd(part, alter+strconv.Itoa(r.copies-1), "%s: a record may be acknowledged that only one broker has", have)
	}
	return good(part, "%s", have)
}
