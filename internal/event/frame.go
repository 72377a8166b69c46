package event

import (
	"encoding/binary"
	"fmt"
	"math"
)

const (
	frameMagic = 0
	frameSize  = 5
	// maxRecord bounds a key or a value. The largest of ours is well under a
	// kilobyte; brokers refuse a megabyte.
	maxRecord = 1 << 20
	// maxText bounds a string inside a record, in bytes.
	maxText = 4 << 10
)

// AppendFrame appends Confluent's framing for a schema id: a zero byte and the
// id, big-endian.
func AppendFrame(dst []byte, id ID) []byte {
	dst = append(dst, frameMagic)
	return binary.BigEndian.AppendUint32(dst, uint32(id))
}

// Unframe splits a framed key or value into its schema id and the Avro bytes
// behind. The error is ErrPoison.
func Unframe(b []byte) (ID, []byte, error) {
	if fault := frameFault(b); fault != nil {
		return 0, nil, fault
	}
	return ID(binary.BigEndian.Uint32(b[1:])), b[frameSize:], nil
}

// frameFault says what is wrong with the framing of b; nil if nothing.
func frameFault(b []byte) error {
	switch {
	case b == nil:
		return poisonf("is null")
	case len(b) < frameSize:
		return poisonf("%d bytes are too few for Confluent framing, which takes 5", len(b))
	case b[0] != frameMagic:
		return poisonf("first byte is 0x%02x, not the 0x00 of Confluent framing", b[0])
	case len(b) > maxRecord:
		return poisonf("%d bytes are over the limit of %d", len(b), maxRecord)
	case binary.BigEndian.Uint32(b[1:]) > math.MaxInt32:
		return poisonf("schema id %d is out of range", binary.BigEndian.Uint32(b[1:]))
	}
	return nil
}

func checkID(name string, id ID) error {
	if id < 0 || id > math.MaxInt32 {
		return fmt.Errorf("schema id %d of %s is out of range", id, name)
	}
	return nil
}
