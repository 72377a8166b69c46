package kafka

import (
	"context"
	"errors"
	"fmt"

	"ell/internal/event"
)

// ErrTableTooLarge is returned by ReadTable for a topic that is not small.
var ErrTableTooLarge = errors.New("table is larger than allowed")

var errDone = errors.New("done") // ends a Follower from its CaughtUp side

// ReadTable returns the last committed record of every key of a small
// compacted topic, as of now; keys whose last record is a tombstone are left
// out. maxBytes bounds keys and values held at once (0: 64 MiB).
func ReadTable(ctx context.Context, cfg Config, topic string, maxBytes int) (map[string]event.Record, error) {
	if maxBytes <= 0 {
		maxBytes = 64 << 20
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	table := make(map[string]event.Record)
	held := 0
	size := func(r event.Record) int { return len(r.Key) + len(r.Value) }
	f, err := NewFollower(Follow{
		Config: cfg,
		Topics: []string{topic},
		Logger: cfg.Logger,
		Batch: func(_ context.Context, batch []event.Record) error {
			for i := range batch {
				r := &batch[i]
				if old, ok := table[string(r.Key)]; ok {
					held -= size(old)
				}
				if r.Value == nil {
					delete(table, string(r.Key))
					continue
				}
				kept := *r
				kept.Headers = append([]event.Header(nil), r.Headers...)
				table[string(r.Key)] = kept
				if held += size(kept); held > maxBytes {
					return ErrTableTooLarge
				}
			}
			return nil
		},
		CaughtUp: func() { cancel(errDone) },
	})
	if err != nil {
		return nil, err
	}
	if err := f.Run(ctx); err != nil {
		return nil, fmt.Errorf("read table %s: %w", topic, err)
	}
	if err := context.Cause(ctx); !errors.Is(err, errDone) {
		return nil, fmt.Errorf("read table %s: %w", topic, err)
	}
	return table, nil
}
