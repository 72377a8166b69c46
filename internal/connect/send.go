package connect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// offset is the value of a table's record in the offsets topic: how far the
// table was read. It is for people and tools to look at; the poller itself
// compares with the topic.
type offset struct {
	Table  string          `json:"table"`
	Rows   int             `json:"rows"`
	Last   json.RawMessage `json:"last,omitempty"` // key of the last row, in the order of the key: Connect's incrementing offset
	Digest string          `json:"sha256"`         // of all keys and values as they are on the topic
	At     int64           `json:"at"`             // ms
}

// send brings the topic from sent to now, in transactions of batchRows, and
// keeps sent up with it.
func (p *Poller) send(ctx context.Context, cl *kgo.Client, t Table, now rows, sent contents) error {
	changes := difference(t.Topic, now, sent)
	for batch := range slices.Chunk(changes, batchRows) {
		if err := p.commit(ctx, cl, t, batch, sent); err != nil {
			return err
		}
	}
	return nil
}

// commit sends changes and the table's new offset in one transaction. On an
// error the session ends, and its client with it.
func (p *Poller) commit(ctx context.Context, cl *kgo.Client, t Table, changes []*kgo.Record, sent contents) error {
	after := make(contents, len(sent)+len(changes))
	maps.Copy(after, sent)
	tombstones := 0
	for _, r := range changes {
		if r.Value == nil {
			delete(after, string(r.Key))
			tombstones++
		} else {
			after[string(r.Key)] = r.Value
		}
	}
	mark, err := p.offset(t, after)
	if err != nil {
		return err
	}
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	err = produce(ctx, cl, append(slices.Clone(changes), mark))
	// The end is not cut short with ctx: a transaction must not stay open.
	endCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
	defer cancel()
	if err != nil {
		return errors.Join(err, cl.AbortBufferedRecords(endCtx), cl.EndTransaction(endCtx, kgo.TryAbort))
	}
	if err := cl.EndTransaction(endCtx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	clear(sent)
	maps.Copy(sent, after)
	p.count(func(s *Stats) {
		s.Transactions++
		s.Rows += int64(len(changes) - tombstones)
		s.Tombstones += int64(tombstones)
	})
	p.log.Debug("station table sent", "table", t.Name, "rows", len(changes)-tombstones, "tombstones", tombstones)
	return nil
}

// produce sends records and waits for all of them.
func produce(ctx context.Context, cl *kgo.Client, records []*kgo.Record) error {
	results := make(chan error, len(records))
	for _, r := range records {
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) { results <- err })
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	var first error
	for range records {
		if err := <-results; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// offset is the record that says that the topic of t now holds c. Its key has
// the form of Connect's own: connector and source partition.
func (p *Poller) offset(t Table, c contents) (*kgo.Record, error) {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	sum := sha256.New()
	o := offset{Table: t.Name, Rows: len(keys), At: time.Now().UnixMilli()}
	for _, k := range keys {
		fmt.Fprintf(sum, "%d %s %d %s\n", len(k), k, len(c[k]), c[k])
		if o.Last == nil || len(k) > len(o.Last) || len(k) == len(o.Last) && k > string(o.Last) {
			o.Last = json.RawMessage(k) // of equal shape, the longer number is the larger
		}
	}
	o.Digest = hex.EncodeToString(sum.Sum(nil))
	value, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	key, err := json.Marshal([]any{"stations", map[string]string{"table": t.Name}})
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: p.cfg.OffsetsTopic, Key: key, Value: value}, nil
}
