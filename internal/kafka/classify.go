package kafka

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/access"
	"ell/internal/event"
)

// Class says what to do about an error.
type Class uint8

// The three classes. The zero value is Fatal, so that an error nobody thought
// of stops the role instead of being retried for ever.
const (
	Fatal     Class = iota // stop the role: fenced, refused, misconfigured, or unknown
	Transient              // retry with backoff: it can pass
	Poison                 // this record can never be processed: dead-letter it and go on
)

// String returns the class in one word.
func (c Class) String() string {
	//exhaustive:enforce
	switch c {
	case Poison:
		return "poison"
	case Transient:
		return "transient"
	case Fatal:
		return "fatal"
	}
	return "unknown"
}

// Classify sorts err. It looks at what the error is, never at its text. A nil
// error has no class; asking is a mistake that is answered with Transient, as
// the harmless one. A cancelled context is Fatal: nobody is left to retry for.
//
// An outcome that is unknown (a timeout while a transaction ends) is
// Transient here; that the producer itself must be abandoned is the
// transaction loop's knowledge.
func Classify(err error) Class {
	switch {
	case err == nil:
		return Transient
	case errors.Is(err, event.ErrPoison):
		return Poison
	case isFatal(err):
		return Fatal
	case isTransient(err):
		return Transient
	}
	return Fatal
}

// Fenced says whether err tells a transactional producer that it is no longer
// the one of its id: another has come, or its own transaction ended without it.
func Fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.TransactionCoordinatorFenced)
}

// ProducerLost says whether err is about a transactional producer alone: a new one
// of the same id, that begins from what the log says, goes on.
func ProducerLost(err error) bool {
	for _, code := range []*kerr.Error{
		kerr.InvalidTxnState, kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber, kerr.TransactionAbortable, kerr.InvalidProducerIDMapping,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// fatalCodes are refusals that no repetition mends. Some are marked retriable
// in the protocol's own table for other uses, so these are asked first.
func fatalCodes() []*kerr.Error {
	return []*kerr.Error{
		// Someone else has taken this producer's or member's place.
		kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.FencedInstanceID, kerr.FencedMemberEpoch,
		kerr.UnreleasedInstanceID, kerr.TransactionCoordinatorFenced, kerr.InvalidProducerIDMapping,
		kerr.InvalidTxnState, kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber, kerr.TransactionAbortable,
		// Not allowed.
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism,
		kerr.IllegalSaslState, kerr.SecurityDisabled, kerr.DelegationTokenExpired,
		// Misconfigured or misused.
		kerr.InvalidTopicException, kerr.InvalidConfig, kerr.InvalidRequest, kerr.InvalidPartitions,
		kerr.InvalidReplicationFactor, kerr.InvalidRequiredAcks, kerr.InvalidSessionTimeout,
		kerr.InvalidTransactionTimeout, kerr.InvalidTimestamp, kerr.InconsistentGroupProtocol, kerr.PolicyViolation,
		kerr.UnsupportedVersion, kerr.UnsupportedForMessageFormat, kerr.UnsupportedCompressionType,
		kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord,
	}
}

func isFatal(err error) bool {
	for _, code := range fatalCodes() {
		if errors.Is(err, code) {
			return true
		}
	}
	var loss *kgo.ErrDataLoss
	if errors.As(err, &loss) || errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) {
		return true
	}
	return access.Distrusted(err)
}

func isTransient(err error) bool {
	if kerr.IsRetriable(err) {
		return true
	}
	for _, passing := range []error{
		context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.ETIMEDOUT,
		kgo.ErrRecordTimeout, kgo.ErrRecordRetries, kgo.ErrMaxBuffered,
		kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.UnstableOffsetCommit,
		kerr.ThrottlingQuotaExceeded, kerr.UnknownServerError,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	var network net.Error
	return errors.As(err, &network)
}
