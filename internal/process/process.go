// Package process holds the three stages of Ell's stream processing as pure
// reducers: (state, record) -> (state, outputs).
//
//   - [Stations] joins the two database tables into one row per station and line.
//   - [Turnstiles] counts entries, in total and in windows of event time.
//   - [Lines] knows where each train is, when it is due next, and how each line runs;
//     [Rail] is all lines in one task.
//
// A reducer emits through [Output], writes its own state there as changelog
// records, is given them back by Restore, and forgets everything since the last
// Commit on Rewind; whoever runs it turns that into transactions. The package
// deliberately does no I/O, starts no goroutine, knows no client library and
// reads no clock: time is what the records say.
//
// A reducer and its decoder belong to one goroutine at a time.
package process

import (
	"errors"
	"fmt"

	"ell/internal/event"
)

// Output takes what a reducer makes of its input. Keys and values given to it stay
// unchanged until the transaction ended, that is until Commit or Rewind;
// headers are copied.
type Output interface {
	// Emit adds a record to a topic; partition -1 lets the key decide.
	Emit(topic string, partition int32, key, value []byte, headers ...event.Header)
	// State adds a record to the stage's changelog; a nil value deletes the key.
	State(key, value []byte)
}

// byKey leaves the choice of the partition to the key.
const byKey int32 = -1

// The first and the last moment of event time that is believed, in
// milliseconds: after 1970 and before 2200. A record outside is poison.
const (
	minTime = 1
	maxTime = 7_258_118_400_000
)

// Bounds on text that comes from outside.
const (
	maxID   = 32  // bytes of a train id, a line or a pattern
	maxName = 512 // bytes of a station's name
)

// poisonf says why a record cannot be understood; the caller dead-letters it.
func poisonf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", event.ErrPoison, fmt.Sprintf(format, args...))
}

// checkTime rejects moments that no clock of the city can show.
func checkTime(ms int64) error {
	if ms < minTime || ms > maxTime {
		return poisonf("event time %d ms is not between 1970 and 2200", ms)
	}
	return nil
}

// errState marks a changelog record that cannot be read. It is fatal: to go on
// without it would give wrong results silently.
var errState = errors.New("changelog record cannot be read; it was written by another version or is damaged")

func stateError(stage string, key []byte, what string) error {
	if what == "" {
		what = "unreadable key"
	}
	return fmt.Errorf("restore %s state %.60q: %s: %w", stage, key, what, errState)
}
