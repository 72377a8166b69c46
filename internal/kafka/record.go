package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
)

// FromKgo fills dst from src without copying bytes: key, value and header
// values are shared with src. dst.Headers is reused, so a dst that is used
// again and again costs no allocation.
func FromKgo(src *kgo.Record, dst *event.Record) {
	headers := dst.Headers[:0]
	for i := range src.Headers {
		headers = append(headers, event.Header{Key: src.Headers[i].Key, Value: src.Headers[i].Value})
	}
	*dst = event.Record{
		Topic:     src.Topic,
		Partition: src.Partition,
		Offset:    src.Offset,
		Appended:  src.Timestamp.UnixMilli(),
		Key:       src.Key,
		Value:     src.Value,
		Headers:   headers,
	}
}
