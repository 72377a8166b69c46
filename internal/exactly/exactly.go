// Package exactly runs a stage of stream processing so that every input record
// shows exactly once in outputs, in state and in the committed offsets: all
// three travel in one Kafka transaction.
//
// A [Runner] joins the stage's consumer group, owns one [Reducer] per [Task],
// restores its state from the stage's private changelog up to a barrier record
// written for the purpose, feeds it records, and commits as soon as the input is
// drained. When a transaction aborts, the client rewinds the offsets and the
// runner rewinds the memory. A record that cannot be understood goes to the dead
// letter topic in the same transaction.
//
// What it deliberately does not do: it does not know what is in a record, does
// not create topics, keeps no state on disk, and promises nothing about effects
// that a reducer would have outside Kafka. Outputs are exact for readers with
// isolation level read_committed.
package exactly

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
)

// Record is one record of the log, free of any client library. It and what it
// points to belong to the runner: a reducer copies what it keeps beyond the
// call, except that the bytes of Key, Value and headers stay valid (and must
// stay unchanged) until the transaction ended, so they may be handed to Output.
type Record = event.Record

// Task is the unit of ownership: a reducer's state lives and moves with it.
type Task struct {
	Topic     string // "" when the task joins Partition of several topics
	Partition int32
}

// String returns the task as topic-partition, for logs.
func (t Task) String() string {
	if t.Topic == "" {
		return fmt.Sprintf("partition %d", t.Partition)
	}
	return fmt.Sprintf("%s-%d", t.Topic, t.Partition)
}

// Output takes what a reducer makes of its input. Keys and values given to it
// must stay unchanged until the transaction ended, that is until Commit or
// Rewind; headers are copied.
type Output interface {
	// Emit adds a record to a topic; partition -1 lets the key decide, by
	// Kafka's own hash (murmur2).
	Emit(topic string, partition int32, key, value []byte, headers ...event.Header)
	// State adds a record to the stage's changelog; a nil value deletes the
	// key. A stage without a changelog must not call it.
	State(key, value []byte)
}

// Reducer is the state of one task and what happens to it. The runner calls it
// from one goroutine at a time.
type Reducer interface {
	// Restore takes one committed changelog record, oldest first; a nil value
	// is a deletion. All calls come before any Process. While this reducer is
	// being restored, others of the stage may be processing.
	Restore(key, value []byte) error
	// Process takes one input record. errors.Is(err, event.ErrPoison) sends
	// the record to the dead letter topic and discards what this call
	// emitted; the reducer must not have changed its state by then.
	// event.ErrUnknownSchema, [ErrTransient] and errors of the network abort
	// the transaction and bring the record again a little later. Any other
	// error is fatal.
	Process(r *Record, out Output) error
	// Flush is called once before each commit, on reducers that processed
	// something since the last: the place to emit what changed.
	Flush(out Output) error
	// Commit says that the transaction committed: undo information can go.
	Commit()
	// Rewind says that the transaction did not commit: back to the state of
	// the last Commit (or of the end of Restore).
	Rewind()
}

// Stage describes a step of the processing. It is the same for every instance
// that shares the work.
type Stage struct {
	// Name is the consumer group (callers prefix it).
	Name string
	// Topics are the input topics, or with Regex one or more expressions.
	Topics []string
	Regex  bool
	// Compacted are those of the input topics whose start may move past what was
	// replaced, as the embedded broker's does: nothing is missed by that.
	Compacted []string
	// CoPartitioned makes one task of partition p of all topics, which must
	// have the same number of partitions. Otherwise each partition of each
	// topic is its own task.
	CoPartitioned bool
	// Changelog is the topic of the stage's state; "" for a stateless stage.
	Changelog string
	// ChangelogPartition says in which partition of the changelog a task
	// keeps its state. nil: the task's own partition number.
	ChangelogPartition func(Task) int32
	// Owner says which task a changelog record belongs to. It may be nil when
	// no two tasks share a changelog partition.
	Owner func(key []byte, partition int32) Task
	// New makes the reducer of a task, with empty state.
	New func(Task) Reducer
}

// Config says how to run a stage.
type Config struct {
	Stage Stage
	// Client are the options that every client of the runner starts with:
	// seed brokers, client id, TLS, SASL, logger, compression.
	Client []kgo.Opt
	// TransactionalID names this instance's producer. It must be unique among
	// the living instances of the cluster and, on a real cluster, the same
	// after a restart, so that the restarted instance ends what its dead self
	// left open.
	TransactionalID string
	// InstanceID, if set, makes the group membership static: a restarted
	// instance takes its own place again without a rebalance. It also lets the
	// runner see that a fenced producer has no twin but was only too slow.
	InstanceID string
	// Leave gives a static member's place in the group up when Run is told to
	// end: its work goes to the others at once, rather than when its session ends.
	// It is for instances that do not come back under the same name.
	Leave bool
	// Sole says that no other process can hold TransactionalID. A fenced
	// producer then means that our own transaction timed out (a suspended
	// machine), and the runner starts again from committed state instead of
	// giving way to a twin.
	Sole bool
	// DeadLetter is the topic for records that cannot be understood.
	DeadLetter string

	// CommitEvery is the longest transaction under load, or up to twice that where
	// ending one takes more than a tenth of it; 0: 100 ms.
	CommitEvery time.Duration
	Linger      time.Duration // shortest time between two commits; 0: 5 ms, negative: none
	// Patience is how long a transaction waits for more input once it is
	// drained, as a multiple of what a commit takes here: nothing to speak of on
	// an embedded broker, tens of milliseconds on a busy cluster, where every
	// transaction costs the same however little is in it. 0: a half.
	Patience           float64
	SchemaWait         time.Duration // how long an unknown schema id may stay unknown; 0: 8 s
	SessionTimeout     time.Duration // 0: 30 s
	Heartbeat          time.Duration // 0: a tenth of SessionTimeout
	TransactionTimeout time.Duration // must be under SessionTimeout; 0: 10 s
	RestoreStall       time.Duration // a restore without progress for so long is an error; 0: 60 s
	MetadataEvery      time.Duration // how soon new topics of a Regex stage are found; 0: 10 s
	MaxPoll            int           // most records taken at once; 0: 262144
	// MaxRestarts bounds failures in a row, each followed by a longer pause,
	// without one commit in between; 0: 20, negative: no bound.
	MaxRestarts int

	Logger *slog.Logger // nil: discard
	// Committed, if set, is told how long each committed transaction took, begin to end.
	Committed func(took time.Duration)

	watchEvery time.Duration // how often the ends of the input are looked up; 0: 5 s
}

// Errors that end Run, or that a reducer may return.
var (
	// ErrFenced: another instance has taken this one's transactional id or
	// group instance id. The newer one goes on, this one must end.
	ErrFenced = errors.New("another instance has taken this one's place")
	// ErrMisconfigured: no repetition can mend it.
	ErrMisconfigured = errors.New("misconfigured")
	// ErrStateLost: the changelog no longer holds the state that belongs to
	// the committed offsets, or the offsets are gone and the state is not.
	ErrStateLost = errors.New("state and committed offsets do not belong together")
	// ErrTransient may be wrapped by a reducer's error to have the record
	// brought again after a pause.
	ErrTransient = errors.New("try again later")
	// ErrGaveUp: MaxRestarts failures in a row.
	ErrGaveUp = errors.New("gave up after repeated failures")
)

// Headers of a record on the dead letter topic. The record's own headers come
// before them.
const (
	HeaderTopic     = "ell.source.topic"
	HeaderPartition = "ell.source.partition"
	HeaderOffset    = "ell.source.offset"
	HeaderClass     = "ell.error.class"
	HeaderError     = "ell.error"
	HeaderStage     = "ell.stage"
)
