// Package check looks at what a pipeline stands on, a Kafka cluster, a schema
// registry and HTTP services, and says in words what is not as it should be
// and what mends it: versions, features, replication, topics, rights, clocks,
// schemas. Roles use it at their start for what would make them wrong; `ell
// check` prints all of it.
//
// It changes nothing: no topic, no schema, no setting.
package check

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"ell/internal/access"
)

// Level says how much a finding matters.
type Level uint8

// The three levels.
const (
	Good Level = iota
	Odd        // works, but not as one would want it
	Bad        // does not work, or not right
)

// String returns the level as `ell check` prints it.
func (l Level) String() string { return [...]string{"ok", "WARN", "FAIL"}[l] }

// Finding is what was found of one part.
type Finding struct {
	Level Level
	Part  string
	Text  string
	Mend  string // of what is not Good
}

func good(part, format string, args ...any) Finding {
	return Finding{Part: part, Text: fmt.Sprintf(format, args...)}
}

func odd(part, mend, format string, args ...any) Finding {
	return Finding{Odd, part, fmt.Sprintf(format, args...), mend}
}

func bad(part, mend, format string, args ...any) Finding {
	return Finding{Bad, part, fmt.Sprintf(format, args...), mend}
}

// mostSkew is how far two clocks may be apart. An HTTP date has a resolution
// of a second, so less cannot be told.
const mostSkew = 2 * time.Second

// skew judges a clock that showed there when this machine's showed between
// before and after; grain is the other's resolution.
func skew(part string, there, before, after time.Time, grain time.Duration) Finding {
	var off time.Duration // of the other clock, at the least
	if there.After(after) {
		off = there.Sub(after)
	} else if end := there.Add(grain); end.Before(before) {
		off = end.Sub(before)
	}
	way := "ahead of"
	if off < 0 {
		way = "behind"
	}
	if off.Abs() <= mostSkew {
		return good(part, "its clock agrees with this machine's to within %v", max(mostSkew, grain))
	}
	return odd(part, "set both clocks by NTP; until then retention, windows of wall time and delays shown are off by as much, and brokers may refuse records that seem to come from the future",
		"its clock is %v %s this machine's", off.Abs().Round(100*time.Millisecond), way)
}

// HTTP asks a service for a path, and says whether it answers, to whom, and
// what its clock shows. flag is what its settings begin with, such as "--registry".
func HTTP(ctx context.Context, part string, h access.HTTP, path, flag, mend string) []Finding {
	client, err := h.Client(timeout)
	if err != nil {
		return []Finding{bad(part, "correct the setting that the message names", "%v", err)}
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Join(path), nil)
	if err != nil {
		return []Finding{bad(part, mend, "%v", err)}
	}
	before := time.Now()
	resp, err := client.Do(req)
	after := time.Now()
	switch {
	case access.Distrusted(err):
		return []Finding{bad(part, "see "+flag+"-ca", "%v", access.Explain(err, flag))}
	case err != nil:
		return []Finding{bad(part, mend, "%v", err)}
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return []Finding{bad(part, "set "+flag+"-user and its password, or a token", "%s answers %s", h.Join(path), resp.Status)}
	default:
		return []Finding{bad(part, mend, "%s answers %s%s", h.Join(path), resp.Status, told(resp.Body))}
	}
	out := []Finding{good(part, "%s", h.URL)}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		out = append(out, skew(part, date, before, after, time.Second))
	}
	return out
}

// timeout bounds one question.
const timeout = 5 * time.Second

// few names the first of names and counts the others.
func few(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

// told is what a body says, on one line.
func told(body io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(body, 4<<10))
	if err != nil || len(text) == 0 {
		return ""
	}
	return ": " + oneLine(string(text))
}

// oneLine is text without line breaks, bounded.
func oneLine(text string) string {
	return fmt.Sprintf("%.300s", strings.Join(strings.Fields(text), " "))
}
