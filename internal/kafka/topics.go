package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/event"
)

// TopicsReport is what EnsureTopics or CheckTopics found and did.
type TopicsReport struct {
	Created     []string // sorted
	Existing    []string // sorted
	Missing     []string // sorted; CheckTopics only
	Differences []Difference
}

const (
	settingPartitions = "partitions"
	settingPolicy     = "cleanup.policy"
	// createTimeout is what the controller is given to have every topic led.
	createTimeout = 30 * time.Second
)

// ErrCreate marks a topic that could not be created.
var ErrCreate = errors.New("create topic")

// EnsureTopics creates every topic of specs that does not exist, in one
// request and with explicit settings, and compares those that do. An existing
// topic is never changed: each setting that differs is named in the report,
// and the caller decides. replication is the replication factor (-1: the
// broker's default).
//
// An error means that the topics could not be asked for or created; it names
// each topic and why.
func EnsureTopics(ctx context.Context, cl *kgo.Client, specs []event.TopicSpec, replication int16) (TopicsReport, error) {
	have, err := partitionCounts(ctx, cl, specs)
	if err != nil {
		return TopicsReport{}, err
	}
	var missing []event.TopicSpec
	for _, s := range specs {
		if _, ok := have[s.Name]; !ok {
			missing = append(missing, s)
		}
	}
	raced, err := createTopics(ctx, cl, missing, replication)
	if err != nil {
		return TopicsReport{}, err
	}
	created := make(map[string]bool, len(missing))
	for _, s := range missing {
		created[s.Name] = !slices.Contains(raced, s.Name) // where someone else was faster, theirs is compared
	}
	existing := slices.DeleteFunc(slices.Clone(specs), func(s event.TopicSpec) bool { return created[s.Name] })
	report, err := CheckTopics(ctx, cl, existing)
	if err != nil {
		return TopicsReport{}, err
	}
	for name, ours := range created {
		if ours {
			report.Created = append(report.Created, name)
		}
	}
	slices.Sort(report.Created)
	return report, nil
}

// CheckTopics compares the topics of specs with those of the cluster and
// changes nothing.
func CheckTopics(ctx context.Context, cl *kgo.Client, specs []event.TopicSpec) (TopicsReport, error) {
	var report TopicsReport
	if len(specs) == 0 {
		return report, nil
	}
	have, err := partitionCounts(ctx, cl, specs)
	if err != nil {
		return report, err
	}
	var existing []event.TopicSpec
	for _, s := range specs {
		n, ok := have[s.Name]
		if !ok {
			report.Missing = append(report.Missing, s.Name)
			continue
		}
		existing = append(existing, s)
		report.Existing = append(report.Existing, s.Name)
		if n != s.Partitions {
			report.Differences = append(report.Differences, Difference{
				Topic: s.Name, Setting: settingPartitions,
				Want: strconv.Itoa(int(s.Partitions)), Have: strconv.Itoa(int(n)),
			})
		}
	}
	diffs, err := compareConfigs(ctx, cl, existing)
	if err != nil {
		return report, err
	}
	report.Differences = append(report.Differences, diffs...)
	slices.Sort(report.Missing)
	slices.Sort(report.Existing)
	slices.SortFunc(report.Differences, func(a, b Difference) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), strings.Compare(a.Setting, b.Setting))
	})
	return report, nil
}

// partitionCounts returns the partition count of each topic of specs that exists.
func partitionCounts(ctx context.Context, cl *kgo.Client, specs []event.TopicSpec) (map[string]int32, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, s := range specs {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = new(s.Name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("ask Kafka for topics: %w", err)
	}
	have := make(map[string]int32, len(resp.Topics))
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case err == nil, errors.Is(err, kerr.LeaderNotAvailable):
			have[*t.Topic] = int32(len(t.Partitions))
		case errors.Is(err, kerr.UnknownTopicOrPartition):
		default:
			return nil, fmt.Errorf("ask Kafka for topic %s: %w", *t.Topic, err)
		}
	}
	return have, nil
}

// createTopics creates specs in one request and returns the names that
// existed by the time it arrived.
func createTopics(ctx context.Context, cl *kgo.Client, specs []event.TopicSpec, replication int16) (raced []string, err error) {
	if len(specs) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(createTimeout.Milliseconds())
	for _, s := range specs {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic = s.Name
		t.NumPartitions = s.Partitions
		t.ReplicationFactor = replication
		explicit := settings(s)
		if replication > 1 {
			// All but one: a broker may be lost, and no record with it.
			explicit = append(explicit, setting{"min.insync.replicas", strconv.Itoa(int(replication - 1))})
		}
		for _, kv := range explicit {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = kv.name, new(kv.value)
			t.Configs = append(t.Configs, c)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("create %d topics: %w", len(specs), err)
	}
	var faults []error
	for _, t := range resp.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case err == nil:
		case errors.Is(err, kerr.TopicAlreadyExists):
			raced = append(raced, t.Topic)
		default:
			if t.ErrorMessage != nil && *t.ErrorMessage != "" {
				faults = append(faults, fmt.Errorf("%w %s: %w (%s)", ErrCreate, t.Topic, err, *t.ErrorMessage))
			} else {
				faults = append(faults, fmt.Errorf("%w %s: %w", ErrCreate, t.Topic, err))
			}
		}
	}
	return raced, joinFew(faults)
}

// joinFew joins at most five errors and counts the rest: three hundred topics
// refused for one reason are one message, not a screen.
func joinFew(errs []error) error {
	const most = 5
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	var b strings.Builder
	for i, err := range errs {
		if i == most {
			fmt.Fprintf(&b, "; and %d more like it", len(errs)-most)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(err.Error())
	}
	return &fewErrors{text: b.String(), errs: errs}
}

type fewErrors struct {
	text string
	errs []error
}

func (e *fewErrors) Error() string   { return e.text }
func (e *fewErrors) Unwrap() []error { return e.errs }

type setting struct{ name, value string }

// settings are the topic's settings as Kafka names them. A zero number is not
// set and not compared: the broker's default is meant.
func settings(s event.TopicSpec) []setting {
	policy := "delete"
	switch {
	case s.Compact && s.Delete:
		policy = "compact,delete"
	case s.Compact:
		policy = "compact"
	}
	out := []setting{{settingPolicy, policy}}
	for _, kv := range []struct {
		name  string
		value int64
	}{
		{"retention.ms", s.RetentionMS},
		{"retention.bytes", s.RetentionBytes},
		{"segment.bytes", s.SegmentBytes},
	} {
		if kv.value != 0 {
			out = append(out, setting{kv.name, strconv.FormatInt(kv.value, 10)})
		}
	}
	return out
}

// compareConfigs names every setting of specs that the existing topics do not have.
func compareConfigs(ctx context.Context, cl *kgo.Client, specs []event.TopicSpec) ([]Difference, error) {
	if len(specs) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	want := make(map[string][]setting, len(specs))
	for _, s := range specs {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType = kmsg.ConfigResourceTypeTopic
		r.ResourceName = s.Name
		for _, kv := range settings(s) {
			r.ConfigNames = append(r.ConfigNames, kv.name)
		}
		req.Resources = append(req.Resources, r)
		want[s.Name] = settings(s)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("read the settings of %d topics: %w", len(specs), err)
	}
	var diffs []Difference
	var faults []error
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			faults = append(faults, fmt.Errorf("read the settings of topic %s: %w", r.ResourceName, err))
			continue
		}
		have := make(map[string]string, len(r.Configs))
		for _, c := range r.Configs {
			if c.Value != nil {
				have[c.Name] = *c.Value
			}
		}
		for _, kv := range want[r.ResourceName] {
			if got := have[kv.name]; !sameSetting(kv.name, got, kv.value) {
				diffs = append(diffs, Difference{Topic: r.ResourceName, Setting: kv.name, Want: kv.value, Have: got})
			}
		}
	}
	return diffs, joinFew(faults)
}

// sameSetting compares policies as sets, since brokers answer them in any order.
func sameSetting(name, a, b string) bool {
	if name != settingPolicy {
		return a == b
	}
	x, y := strings.Split(strings.ReplaceAll(a, " ", ""), ","), strings.Split(b, ",")
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
