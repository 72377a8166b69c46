package event

import "errors"

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

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
	// ErrPoison marks a record that cannot be understood and never will be.
	ErrPoison = errors.New("poison record")
	// ErrUnknownSchema marks a record whose schema id the registry does not
	// know. It may only be late; callers try again for a while before they
	// treat the record as poison.
	ErrUnknownSchema = errors.New("unknown schema id")
)
