package exactly

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestInputIsHeldBackOnlyByATransactionThatStaysOpen(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		look func(second int64) span
		warn bool
	}{
		"one transaction stays open while others end behind it": {func(n int64) span { return span{stable: 100, end: 200 + n} }, true},
		"one transaction after another is open at every look":   {func(n int64) span { return span{stable: 100 + n, end: 150 + n} }, false},
		"nothing is open": {func(n int64) span { return span{stable: 100 + n, end: 100 + n} }, false},
		"nothing happens": {func(int64) span { return span{stable: 100, end: 100} }, false},
		"the one that was open for long ends": {func(n int64) span {
			if n < 5 {
				return span{stable: 100, end: 200}
			}
			return span{stable: 200 + n, end: 300 + n}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := &session{cfg: &Config{TransactionTimeout: 3 * time.Second}, log: slog.New(slog.NewTextHandler(&log, nil))}
				p := &part{topic: "in"}
				for n := range int64(20) {
					s.noteEnds(t.Context(), p, tc.look(n))
					// Meanwhile fetches see the end of what is stable move too.
					p.lso.Store(tc.look(n + 1).stable)
					time.Sleep(time.Second)
				}
				if got := strings.Contains(log.String(), "does not end"); got != tc.warn {
					t.Errorf("warned: %v, want %v\n%s", got, tc.warn, log.String())
				}
			})
		})
	}
}
