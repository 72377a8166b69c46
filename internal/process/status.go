package process

import (
	"fmt"
	"slices"

	"ell/internal/cta"
	"ell/internal/event"
)

// Thresholds of the line status words. Where there are two, the first brings a
// word and the second keeps it. Times in ms unless they say otherwise.
const (
	heldEnter, heldStay = 4 * 60_000, 90_000 // a train past its due time
	lateEnter, lateStay = 300, 240           // seconds behind: 5 min is late
	slowEnter, slowStay = 75_000, 30_000     // on one stretch, beyond slowSlack a leg
	slowSlack           = 15_000             // that any leg may take longer than usual

	waitRatioEnter, waitRatioStay = 1.6, 1.35 // observed to scheduled headway
	waitExtraEnter, waitExtraStay = 180, 120  // seconds beyond the schedule
	gapRatio, gapLeast            = 2.5, 600  // one gap: times the schedule, and seconds

	// waitLook is how far back and ahead the timetable counts too when gaps are
	// compared with it: trains on the way still keep, or keep already, its other gaps.
	waitLook = 45 * 60_000

	unseenLeast  = 20 * 60_000 // without any train, though scheduled
	slowMemory   = 30 * 60_000 // leg times older than this say nothing about now
	runsOnFor    = 10 * 60_000 // a train seen so recently runs, whatever the timetable says
	worseAfter   = 45_000      // how long a worse word must hold before it is told
	betterAfter  = 3 * 60_000  // and a better one
	reasonLength = 400         // bytes
)

// words in the order of event's constants, worst first.
var words = [...]string{
	event.StatusDelays, event.StatusLongWaits, event.StatusSlow,
	event.StatusGood, event.StatusNotScheduled, event.StatusNoService,
}

const (
	wordDelays int8 = iota
	wordLongWaits
	wordSlow
	wordGood
	wordNotScheduled
	wordNoService
)

// lineState is what is known of one line as a whole.
type lineState struct {
	now    int64 // event time has come this far
	clock  int64 // the city's clock, as far as it was forwarded
	evalAt int64 // when the line was last looked at
	late   int64
	since  int64 // when scheduled service began, 0 while there is none
	seen   int64 // the newest arrival of any train, at the last look
	gaps   [2]gapRing
	// extra is what legs take beyond the timetable these hours, in ms: a mean
	// over the last extraOf legs.
	extra   float64
	extraOf int32

	word   int8 // told
	wish   int8 // what the line looks like since wishAt
	wishAt int64
	told   lineTold
	news   bool // told changed and was not emitted yet
	src    event.Source
}

// lineTold is what stands on lines.v1, but for its time and source.
type lineTold struct {
	is        bool
	word      int8
	reason    string
	trains    int32
	observed  [2]int32
	scheduled [2]int32
	late      int64
}

// look is one look at a line: what speaks for each word.
type look struct {
	trains  int
	running int // in service and seen lately
	seen    int64
	sched   [2]int32
	median  [2]int32
	delays  string // the sentence, "" if there is no reason for the word
	waits   string
	slow    string
}

// evaluate decides the words of a line at its time.
func (l *Lines) evaluate(li int) {
	st := l.line(li)
	k := l.look(li, st)
	st.seen = max(st.seen, k.seen)
	scheduled := k.sched[0] > 0 || k.sched[1] > 0
	switch {
	case !scheduled:
		st.since = 0
	case st.since == 0:
		st.since = st.now
	}
	word, reason := l.word(li, st, &k, scheduled)
	l.wishFor(st, word)
	if st.word == word {
		st.told.reason = clipText(reason)
	}
	now := lineTold{
		is: true, word: st.word, reason: st.told.reason, trains: int32(k.trains),
		observed: k.median, scheduled: k.sched, late: st.late,
	}
	if now != st.told {
		st.told, st.news = now, true
	}
}

// wishFor changes the word told once another has held long enough, the longer
// for good news; the first word is told at once.
func (l *Lines) wishFor(st *lineState, word int8) {
	if !st.told.is {
		st.word, st.wish, st.wishAt = word, word, st.now
		return
	}
	if word != st.wish {
		st.wish, st.wishAt = word, st.now
	}
	if word == st.word {
		return
	}
	hold := int64(betterAfter)
	if rank(word) < rank(st.word) {
		hold = worseAfter
	}
	if st.word == wordNotScheduled {
		hold = 0 // a train runs: that none does is not worse or better, but wrong
	}
	if st.now-st.wishAt >= hold {
		st.word = word
	}
}

// rank orders words for hysteresis: no service at all is as bad as can be, no
// service scheduled as good.
func rank(word int8) int {
	switch word {
	case wordNoService:
		return -1
	case wordNotScheduled:
		return int(wordGood)
	}
	return int(word)
}

// word finds the worst word that something speaks for.
func (l *Lines) word(li int, st *lineState, k *look, scheduled bool) (word int8, reason string) {
	name := l.m.lines[li].name
	if !scheduled && k.running == 0 {
		return wordNotScheduled, fmt.Sprintf("The %s does not run at this time.", name)
	}
	if scheduled {
		longest := int64(max(k.sched[0], k.sched[1])) * 1000
		if quiet := st.now - max(st.since, st.seen); quiet > max(unseenLeast, 3*longest) {
			return wordNoService, fmt.Sprintf("No %s train has been seen for %d minutes.", name, quiet/60_000)
		}
	}
	switch {
	case k.delays != "":
		return wordDelays, k.delays
	case k.waits != "":
		return wordLongWaits, k.waits
	case k.slow != "":
		return wordSlow, k.slow
	}
	return wordGood, ""
}

// look gathers what speaks for each word.
func (l *Lines) look(li int, st *lineState) look {
	var k look
	k.delays = l.lookTrains(li, st, &k)
	for _, d := range [...]cta.Direction{cta.A, cta.B} {
		k.sched[d] = l.headway(li, d, st.now)
		k.median[d] = st.gaps[d].median(max(st.now-gapMemory, st.since))
	}
	k.waits = l.lookWaits(li, st, &k)
	k.slow = l.lookSlow(li, st)
	return k
}

// troubles are what a look finds of trains that stand, or run late.
type troubles struct {
	broken, held, late       int
	brokenAt, heldAt, lateAt suspect // of late and held ones the worst
}

// suspect is a train that something is said of.
type suspect struct {
	id   string
	site int16
	by   int64 // ms past its due time if held, seconds behind the timetable if late
}

// worse keeps the worse of two trains; of equals the first by id, so that it
// does not depend on the order in which they are looked at.
func (s *suspect) worse(id string, site int16, by int64) {
	if s.id == "" || by > s.by || by == s.by && id < s.id {
		*s = suspect{id, site, by}
	}
}

// lookTrains counts the trains in service and finds those that stand or run late.
func (l *Lines) lookTrains(li int, st *lineState, k *look) string {
	heldLeast, lateLeast := int64(heldEnter), int64(lateEnter)
	if st.word == wordDelays {
		heldLeast, lateLeast = heldStay, lateStay
	}
	var w troubles
	for key, t := range l.train.All() {
		if int(key.line) != li {
			continue
		}
		f := l.at(key.line, t)
		k.seen = max(k.seen, min(f.seen, st.now))
		switch f.status {
		case brokenDown:
			w.broken++
			w.brokenAt.worse(key.id, f.site, 0)
			continue
		case outOfService:
			continue
		}
		k.trains++
		if st.now-f.seen < runsOnFor {
			k.running++
		}
		if c := l.m.call(f.place); !c.turn && !c.start && st.now-f.at >= heldLeast { // it is due later than it came
			if over := st.now - l.expects(st, key, t).due; over >= heldLeast {
				w.held++
				w.heldAt.worse(key.id, f.site, over)
			}
		}
		if f.behind(st.extra)/1000 >= lateLeast {
			w.late++
			w.lateAt.worse(key.id, f.site, int64(l.expects(st, key, t).delay))
		}
	}
	return w.sentence(&l.m.lines[li], k.trains)
}

// sentence tells the worst of the troubles of a line with so many trains, ""
// if they are not worth a word.
func (w *troubles) sentence(info *lineInfo, trains int) string {
	switch {
	case w.broken > 0:
		s := &info.sites[w.brokenAt.site]
		return fmt.Sprintf("%s train has broken down at %s.", one(info.bound(s.dir)), s.name)
	case w.held > 0:
		s := &info.sites[w.heldAt.site]
		text := fmt.Sprintf("%s train has been held near %s for %d %s", one(info.bound(s.dir)), s.name,
			w.heldAt.by/60_000, plural(int(w.heldAt.by/60_000), "minute", "minutes"))
		if w.held > 1 {
			text += fmt.Sprintf("; %s more %s", count(w.held-1), plural(w.held-1, "train is waiting", "trains are waiting"))
		}
		return text + "."
	case w.late >= 2 && 10*w.late >= trains || w.late > 0 && 2*w.late >= trains:
		s := &info.sites[w.lateAt.site]
		return fmt.Sprintf("%d of %d trains %s late; %s train near %s is %d minutes behind the timetable.",
			w.late, trains, plural(w.late, "runs", "run"), "a"+one(info.bound(s.dir))[1:], s.name, w.lateAt.by/60)
	}
	return ""
}

// seenNow fills visited with the newest train at each site of a line, settled
// or not.
func (l *Lines) seenNow(li int) {
	n := len(l.m.lines[li].sites)
	l.visited = slices.Grow(l.visited[:0], n)[:n]
	clear(l.visited)
	for k, v := range l.visits.All() {
		if int(k.line) == li {
			l.visited[k.site] = *v
		}
	}
	for k, t := range l.train.All() {
		if int(k.line) != li {
			continue
		}
		for i := range t.n {
			if s := &t.pending[i]; s.status == inService && s.at > l.visited[s.site].at {
				l.visited[s.site] = visit{s.at, k.id}
			}
		}
	}
}

// lookWaits compares the gaps between trains with the timetable's.
func (l *Lines) lookWaits(li int, st *lineState, k *look) string {
	info := &l.m.lines[li]
	ratio, extra := waitRatioEnter, int32(waitExtraEnter)
	if st.word == wordLongWaits {
		ratio, extra = waitRatioStay, waitExtraStay
	}
	var sched [2]int32 // the longest scheduled about now
	var ends [2]bool   // no trains soon
	for _, d := range [...]cta.Direction{cta.A, cta.B} {
		later := l.headway(li, d, st.now+waitLook)
		ends[d] = later == 0
		sched[d] = max(k.sched[d], later, l.headway(li, d, st.now-waitLook))
		if seen := k.median[d]; k.sched[d] > 0 && float64(seen) >= ratio*float64(sched[d]) && seen >= sched[d]+extra {
			return fmt.Sprintf("%s trains come every %d minutes instead of every %d.",
				capital(info.bound(d)), minutes(seen), minutes(k.sched[d]))
		}
	}
	// One long gap: at a place where a train came since service began, none since.
	long := func(of int16, at int64) (open int64) {
		x := &info.sites[of]
		if !x.trunk || at == 0 || st.since == 0 || at < st.since || k.sched[x.dir] == 0 || ends[x.dir] {
			return 0
		}
		open = (st.now - at) / 1000
		if open < gapLeast || float64(open) < gapRatio*float64(sched[x.dir]) {
			return 0
		}
		return open
	}
	// What is settled tells whether there may be one: pending arrivals only make it shorter.
	if !l.anyLong(li, st.since, func(d cta.Direction) int64 {
		return st.now - int64(1000*max(gapLeast, gapRatio*float64(sched[d])))
	}) {
		return ""
	}
	l.seenNow(li)
	var worst int64
	at := none
	for i := range info.sites {
		if open := long(int16(i), l.visited[i].at); open > worst {
			worst, at = open, int16(i)
		}
	}
	if at == none {
		return ""
	}
	s := &info.sites[at]
	return fmt.Sprintf("No %s train has called at %s for %d minutes.", info.bound(s.dir), s.name, worst/60)
}

// anyLong says whether the newest settled arrival anywhere on a line's trunk is
// of service that began at since, but of a direction's moment or before it.
func (l *Lines) anyLong(li int, since int64, until func(cta.Direction) int64) bool {
	most := [2]int64{until(cta.A), until(cta.B)}
	o := &l.kept[li].oldest
	if o.is && o.since == since && o.at[0] > most[0] && o.at[1] > most[1] {
		return false
	}
	*o = oldest{is: true, since: since, at: [2]int64{maxTime, maxTime}}
	sites := l.m.lines[li].sites
	for k, v := range l.visits.All() {
		if int(k.line) != li || v.at < since {
			continue
		}
		if s := &sites[k.site]; s.trunk {
			o.at[s.dir] = min(o.at[s.dir], v.at)
		}
	}
	return o.at[0] <= most[0] || o.at[1] <= most[1]
}

// oldest is a moment in each direction of a line after which every site of its
// trunk was called at last, of those that were since service began.
type oldest struct {
	is    bool
	since int64
	at    [2]int64
}

func (l *Lines) tellLine(li int, st *lineState, out Output) {
	e := event.LineStatus{
		Line: l.m.lines[li].id, Status: words[st.told.word], Reason: st.told.reason,
		Trains: st.told.trains, UpdatedAt: st.evalAt, Late: st.told.late, Source: st.src,
		Headways: []event.Headway{
			{Direction: "a", Observed: st.told.observed[0], Scheduled: st.told.scheduled[0]},
			{Direction: "b", Observed: st.told.observed[1], Scheduled: st.told.scheduled[1]},
		},
	}
	out.Emit(l.lines, byKey,
		l.arena.close(l.enc.AppendLineKey(l.arena.open(), e.Line)),
		l.arena.close(l.enc.AppendLine(l.arena.open(), &e)))
}
