package testkit

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Want is what a stage must have written, recomputed from its input.
type Want struct {
	Streams map[Key][]string // by output key, every value in order
	Tables  map[Key]string   // by key of a compacted topic, the last value; absent: no record or a deletion
}

// Key is a topic and a record key.
type Key struct{ Topic, Key string }

// Check verifies that a group processed its input exactly once. It waits until
// the group is empty, takes the input up to the committed offsets, recomputes
// the outputs from it, compares them with what committed readers see, and
// proves that no transaction hangs by writing a plain record to every output
// partition and reading it back.
type Check struct {
	Client  []kgo.Opt
	Group   string
	Inputs  []string
	Streams []string // every record counts
	Tables  []string // the last record of a key counts
	Probe   []string // more topics to prove free of hanging transactions

	// Model recomputes the outputs. Records come by partition, each in order.
	Model func(inputs []*kgo.Record) Want

	HangLimit time.Duration // how long a probe may stay hidden; 0: 5 s
}

// Report is what a Check found.
type Report struct {
	Inputs, Outputs int
	Unprocessed     int // input records beyond the committed offsets
	Missing         int // outputs that should be there
	Duplicates      int // outputs that are there too often
	Wrong           int // outputs that nothing in the input explains, and wrong table entries
	Disordered      int // keys whose outputs are right but out of order
	Hanging         []string
	Examples        []string // some of what is wrong, in words
}

// OK says whether the input was processed exactly once, and all of it.
func (r *Report) OK() bool {
	return r.Unprocessed+r.Missing+r.Duplicates+r.Wrong+r.Disordered+len(r.Hanging) == 0
}

// String returns the report on one line, with examples behind it.
func (r *Report) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d in, %d out, %d unprocessed, %d missing, %d duplicate, %d wrong, %d disordered, %d partitions hang",
		r.Inputs, r.Outputs, r.Unprocessed, r.Missing, r.Duplicates, r.Wrong, r.Disordered, len(r.Hanging))
	if len(r.Hanging) > 0 {
		s.WriteString(" " + strings.Join(r.Hanging, ","))
	}
	for _, e := range r.Examples {
		s.WriteString("\n\t" + e)
	}
	return s.String()
}

func (r *Report) example(format string, args ...any) {
	if len(r.Examples) < 10 {
		r.Examples = append(r.Examples, fmt.Sprintf(format, args...))
	}
}

// Run verifies. An error means that it could not.
func (c Check) Run(ctx context.Context) (*Report, error) {
	if c.HangLimit == 0 {
		c.HangLimit = 5 * time.Second
	}
	cl, err := kgo.NewClient(c.Client...)
	if err != nil {
		return nil, fmt.Errorf("make a client to verify with: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if err := waitEmpty(ctx, adm, c.Group); err != nil {
		return nil, err
	}
	rep := &Report{}
	// First: what hangs would hide what follows.
	outputs := append(append([]string(nil), c.Streams...), c.Tables...)
	hung, err := hanging(ctx, c.Client, append(append([]string(nil), outputs...), c.Probe...), c.HangLimit)
	if err != nil {
		return nil, err
	}
	for _, h := range hung {
		rep.Hanging = append(rep.Hanging, h.String())
	}
	inputs, err := c.committedInput(ctx, adm, rep)
	if err != nil {
		return nil, err
	}
	rep.Inputs = len(inputs)
	want := c.Model(inputs)
	if err := c.compareStreams(ctx, rep, want.Streams); err != nil {
		return nil, err
	}
	if err := c.compareTables(ctx, rep, want.Tables); err != nil {
		return nil, err
	}
	return rep, nil
}

// Must verifies and fails the test unless the input was processed exactly once.
func (c Check) Must(t testing.TB) *Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	rep, err := c.Run(ctx)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if !rep.OK() {
		t.Fatalf("not exactly once: %s", rep)
	}
	t.Logf("exactly once: %s", rep)
	return rep
}

func waitEmpty(ctx context.Context, adm *kadm.Client, group string) error {
	for {
		d, err := adm.DescribeGroups(ctx, group)
		if err != nil {
			return fmt.Errorf("describe group %s: %w", group, err)
		}
		state := d[group].State
		if state == "Empty" || state == "Dead" || state == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("group %s is still %s with %d members: %w", group, state, len(d[group].Members), ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// committedInput returns the input before the committed offsets.
func (c Check) committedInput(ctx context.Context, adm *kadm.Client, rep *Report) ([]*kgo.Record, error) {
	committed, err := adm.FetchOffsets(ctx, c.Group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // no group: nothing committed
		return nil, fmt.Errorf("fetch offsets of group %s: %w", c.Group, err)
	}
	parts, err := readParts(ctx, c.Client, c.Inputs)
	if err != nil {
		return nil, err
	}
	var in []*kgo.Record
	for _, p := range parts {
		upTo := int64(0)
		if o, ok := committed.Lookup(p.topic, p.partition); ok {
			upTo = o.At
		}
		for _, r := range p.records {
			if r.Offset < upTo {
				in = append(in, r)
				continue
			}
			rep.Unprocessed++
			rep.example("%s@%d is beyond the committed offset %d", p.place, r.Offset, upTo)
		}
	}
	return in, nil
}

func (c Check) compareStreams(ctx context.Context, rep *Report, want map[Key][]string) error {
	if len(c.Streams) == 0 {
		return nil
	}
	records, err := ReadCommitted(ctx, c.Client, c.Streams...)
	if err != nil {
		return err
	}
	rep.Outputs = len(records)
	got := map[Key][]string{}
	for _, r := range records {
		k := Key{r.Topic, string(r.Key)}
		got[k] = append(got[k], string(r.Value))
	}
	keys := map[Key]bool{}
	for k := range got {
		keys[k] = true
	}
	for k := range want {
		keys[k] = true
	}
	for _, k := range sortedKeys(keys) {
		rep.compare(k, got[k], want[k])
	}
	return nil
}

// compare judges the values of one key.
func (r *Report) compare(k Key, got, want []string) {
	times := map[string]int{}
	for _, v := range want {
		times[v]++
	}
	expected := map[string]bool{}
	for _, v := range want {
		expected[v] = true
	}
	even := true
	for _, v := range got {
		times[v]--
		switch {
		case !expected[v]:
			r.Wrong++
			even = false
			r.example("%s key %q: nothing explains %q", k.Topic, k.Key, v)
		case times[v] < 0:
			r.Duplicates++
			even = false
			r.example("%s key %q: %q once too often", k.Topic, k.Key, v)
		}
	}
	for v, n := range times {
		if n > 0 {
			r.Missing += n
			even = false
			r.example("%s key %q: %q is missing", k.Topic, k.Key, v)
		}
	}
	if !even {
		return
	}
	for i := range got {
		if got[i] != want[i] {
			r.Disordered++
			r.example("%s key %q: value %d is %q, want %q", k.Topic, k.Key, i, got[i], want[i])
			return
		}
	}
}

func (c Check) compareTables(ctx context.Context, rep *Report, want map[Key]string) error {
	if len(c.Tables) == 0 {
		return nil
	}
	records, err := ReadCommitted(ctx, c.Client, c.Tables...)
	if err != nil {
		return err
	}
	got := map[Key]string{}
	for _, r := range records {
		if strings.HasPrefix(string(r.Key), "\x00ell.") {
			continue // bookkeeping
		}
		k := Key{r.Topic, string(r.Key)}
		if r.Value == nil {
			delete(got, k)
			continue
		}
		got[k] = string(r.Value)
	}
	keys := map[Key]bool{}
	for k := range got {
		keys[k] = true
	}
	for k := range want {
		keys[k] = true
	}
	for _, k := range sortedKeys(keys) {
		g, inGot := got[k]
		w, inWant := want[k]
		if g != w || inGot != inWant {
			rep.Wrong++
			rep.example("table %s key %q holds %q, want %q", k.Topic, k.Key, g, w)
		}
	}
	return nil
}

func sortedKeys(m map[Key]bool) []Key {
	keys := make([]Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sortBy(keys, func(a, b Key) bool { return a.Topic < b.Topic || a.Topic == b.Topic && a.Key < b.Key })
	return keys
}

func sortBy[T any](s []T, less func(a, b T) bool) {
	sort.Slice(s, func(i, j int) bool { return less(s[i], s[j]) })
}
