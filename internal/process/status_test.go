package process

import (
	"fmt"
	"strings"
	"testing"

	"ell/internal/event"
)

// play feeds arrivals in order, with a tick every 10 s, until a time in seconds
// after t0, and tells each word of the red line with when it came.
func play(t *testing.T, arrivals []*event.Arrival, until int64) (words []string, last event.LineStatus) {
	t.Helper()
	tasks := newLineTasks(t)
	for now := int64(10); now <= until; now += 10 {
		for len(arrivals) > 0 && arrivals[0].Timestamp <= t0+now*1000 {
			tasks.arrival(arrivals[0])
			arrivals = arrivals[1:]
		}
		tasks.tick(t0 + now*1000)
		tasks.commit(nil)
		if l := tasks.line["red"]; l.Status != last.Status {
			words = append(words, fmt.Sprintf("%d:%02d %s", now/60, now%60, l.Status))
		}
		last = tasks.line["red"]
	}
	return words, last
}

// flow is a train every gap seconds, from one call to another, as the timetable has it.
func flow(from, to int, gap, first, until float64) []*event.Arrival {
	var out []*event.Arrival
	for at, n := first, 0; at < until; at, n = at+gap, n+1 {
		when := at
		for call := from; call <= to; call++ {
			a := seenAt(fmt.Sprintf("RD%03d", n), call, when)
			out = append(out, a)
			if call == to { // or it would be missed further on
				out = append(out, with(seenAt(a.TrainID, call, when+20), status(event.OutOfService)))
			}
			when += testRun(call)
		}
	}
	sortArrivals(out)
	return out
}

func TestAScheduledLineWithoutTrainsHasNoService(t *testing.T) {
	words, last := play(t, nil, 40*60)
	if len(words) != 2 || words[0] != "0:10 good_service" || !strings.HasSuffix(words[1], event.StatusNoService) {
		t.Errorf("words %v", words)
	}
	if !strings.HasPrefix(last.Reason, "No Red Line train has been seen for ") {
		t.Errorf("reason %q", last.Reason)
	}
	words, _ = play(t, []*event.Arrival{seenAt("RD1", 5, 30*60)}, 35*60)
	if n := len(words); n != 3 || !strings.HasSuffix(words[2], event.StatusGood) {
		t.Errorf("a train came after half an hour: words %v", words)
	}
}

func TestLongWaitsAreToldAndNotAtOnce(t *testing.T) {
	// The Red Line comes every 6 minutes at this hour.
	good := flow(3, 20, 360, 0, 40*60)
	words, _ := play(t, good, 40*60)
	if len(words) != 1 || !strings.HasSuffix(words[0], event.StatusGood) {
		t.Errorf("a train every 6 minutes: words %v", words)
	}
	words, last := play(t, flow(3, 20, 840, 0, 80*60), 80*60)
	if last.Status != event.StatusLongWaits || !strings.Contains(last.Reason, "every 14 minutes instead of every") {
		t.Errorf("a train every 14 minutes: words %v, reason %q", words, last.Reason)
	}
	if len(words) > 3 {
		t.Errorf("the word flaps: %v", words)
	}
}

func TestAWordThatDoesNotHoldIsNotTold(t *testing.T) {
	l := &Lines{}
	st := &lineState{word: wordGood, wish: wordGood, told: lineTold{is: true}}
	step := func(at int64, word int8) int8 {
		st.now = at
		l.wishFor(st, word)
		return st.word
	}
	for at := int64(0); at < 600_000; at += 10_000 {
		word := wordGood
		if at/10_000%3 != 0 { // 20 s bad, 10 s good, and so on
			word = wordSlow
		}
		if step(at, word) != wordGood {
			t.Fatalf("after %d s of flicker the word is told", at/1000)
		}
	}
	step(600_000, wordSlow)
	if step(600_000+worseAfter, wordSlow) != wordSlow {
		t.Error("a worse word that holds is not told")
	}
	step(700_000, wordGood)
	if step(700_000+worseAfter, wordGood) != wordSlow {
		t.Error("good news comes as fast as bad news")
	}
	if step(700_000+betterAfter, wordGood) != wordGood {
		t.Error("good news that holds is not told")
	}
}

func TestSentencesHaveTheRightArticle(t *testing.T) {
	for words, want := range map[string]string{"Howard-bound": "A Howard-bound", "O'Hare-bound": "An O'Hare-bound", "54th/Cermak-bound": "A 54th/Cermak-bound", "": "A "} {
		if got := one(words); got != want {
			t.Errorf("one(%q) is %q, want %q", words, got, want)
		}
	}
}
