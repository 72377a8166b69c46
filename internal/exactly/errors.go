package exactly

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
	"ell/internal/kafka"
)

var (
	// errFatal marks an error that a new session cannot mend.
	errFatal = errors.New("cannot go on")
	// errLate: the broker ended our transaction because it took too long.
	errLate = errors.New("the transaction took longer than its time")
	// errSlow: a transaction is taking so long that it would be ended.
	errSlow = errors.New("processing takes too long for one transaction, taking fewer records at once")
	// errRepeated: a record came that was already processed.
	errRepeated = errors.New("the client delivered a record again")
	// errUnowned: a record came of a partition whose task is not ready.
	errUnowned = errors.New("the client delivered a record of a partition that is not ready")
)

// panicked turns a recovered panic of a reducer into an error.
func panicked(what string, v any) error {
	return fmt.Errorf("%w: panic in %s: %v\n%s", errFatal, what, v, debug.Stack())
}

// refused lists the answers that no repetition mends.
func refused(err error) bool {
	for _, e := range []*kerr.Error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism,
		kerr.InvalidTopicException, kerr.InvalidTransactionTimeout, kerr.InvalidSessionTimeout,
		kerr.InconsistentGroupProtocol, kerr.InvalidGroupID, kerr.MessageTooLarge, kerr.RecordListTooLarge,
		kerr.UnsupportedVersion, kerr.UnsupportedForMessageFormat, kerr.InvalidRequiredAcks,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// verdict says what a session's end means: nil to start another, otherwise
// the error that Run returns.
func (c *Config) verdict(err error) error {
	switch {
	case errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.UnreleasedInstanceID):
		return fmt.Errorf("%w: group instance id %q: %w", ErrFenced, c.InstanceID, err)
	case kafka.Fenced(err) && !errors.Is(err, errLate):
		return fmt.Errorf("%w (or this one stood still for longer than its transaction's %s): transactional id %q: %w",
			ErrFenced, c.TransactionTimeout, c.TransactionalID, err)
	case errors.Is(err, errFatal), errors.Is(err, ErrMisconfigured), errors.Is(err, ErrStateLost):
		return err
	case refused(err):
		return fmt.Errorf("%w: %w", ErrMisconfigured, err)
	}
	return nil
}

// again says whether a reducer's error asks for the same record a little later.
func again(err error) bool {
	var network net.Error
	return errors.Is(err, ErrTransient) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// definite says whether a produce error is the broker's clear answer, after
// which the same producer may go on once the transaction is aborted. Anything
// else leaves open whether the record was written.
func definite(err error) bool {
	if _, ok := errors.AsType[*kerr.Error](err); !ok {
		return false
	}
	return !errors.Is(err, kerr.RequestTimedOut) && !errors.Is(err, kerr.UnknownServerError) && !kafka.Fenced(err) &&
		!errors.Is(err, kerr.OutOfOrderSequenceNumber) && !errors.Is(err, kerr.UnknownProducerID) && !errors.Is(err, kgo.ErrRecordTimeout)
}

// poison says whether a record can never be processed.
func poison(err error) bool {
	return errors.Is(err, event.ErrPoison) && !errors.Is(err, event.ErrUnknownSchema)
}
