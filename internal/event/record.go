package event

import (
	"errors"
	"fmt"
)

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// HeaderPattern is the key of the header that carries [Arrival.Pattern].
const HeaderPattern = "pattern"

// Record is one record of the log, free of any client library.
type Record struct {
	Topic      string
	Partition  int32
	Offset     int64
	Appended   int64 // the record's own timestamp: wall time, ms
	Key, Value []byte
	Headers    []Header
}

var (
	// ErrPoison marks a record that cannot be understood and never will be:
	// it belongs into the dead-letter topic.
	ErrPoison = errors.New("poison record")
	// ErrUnknownSchema marks a record whose schema id the registry does not
	// know. A [Resolver] returns it only after it has waited for a registry
	// that may lag behind, so it counts as [ErrPoison] as well.
	ErrUnknownSchema = fmt.Errorf("%w: unknown schema id", ErrPoison)
)

// poisonf says why a record cannot be understood.
func poisonf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrPoison, fmt.Sprintf(format, args...))
}
