package sim

import "math"

// Who can be on the agenda. At the same moment the lower number goes first,
// which makes the order of events a matter of state alone, with no running
// number to keep.
const (
	agendaDispatch int32 = iota
	agendaSwitchOn
	agendaIncident
	agendaTrains // the first train
)

// never is later than any event.
const never = math.MaxInt64

// none stands for no train, leg, platform or terminal.
const none int32 = -1

// agenda is a priority queue in which everybody has at most one appointment.
type agenda struct {
	at    []int64 // by who; never if nothing is to come
	place []int32 // by who: where it stands in order, or none
	order []int32 // a binary heap of who
}

func (a *agenda) init(n int32) {
	a.at, a.place, a.order = make([]int64, n), make([]int32, n), make([]int32, 0, n)
	for i := range a.at {
		a.at[i], a.place[i] = never, none
	}
}

// next returns the earliest appointment, never if there is none.
func (a *agenda) next() (at int64, who int32) {
	if len(a.order) == 0 {
		return never, none
	}
	return a.at[a.order[0]], a.order[0]
}

// set makes or moves an appointment.
func (a *agenda) set(who int32, at int64) {
	a.at[who] = at
	if a.place[who] == none {
		a.place[who] = int32(len(a.order))
		a.order = append(a.order, who)
	}
	a.down(a.up(a.place[who]))
}

// clear takes who's appointment off the agenda.
func (a *agenda) clear(who int32) {
	i := a.place[who]
	if i == none {
		return
	}
	last := int32(len(a.order) - 1)
	moved := a.order[last]
	a.order = a.order[:last]
	a.at[who], a.place[who] = never, none
	if i != last {
		a.order[i], a.place[moved] = moved, i
		a.down(a.up(i))
	}
}

func (a *agenda) before(x, y int32) bool {
	return a.at[x] < a.at[y] || a.at[x] == a.at[y] && x < y
}

func (a *agenda) up(i int32) int32 {
	who := a.order[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !a.before(who, a.order[parent]) {
			break
		}
		a.order[i] = a.order[parent]
		a.place[a.order[i]] = i
		i = parent
	}
	a.order[i], a.place[who] = who, i
	return i
}

func (a *agenda) down(i int32) {
	who := a.order[i]
	n := int32(len(a.order))
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && a.before(a.order[child+1], a.order[child]) {
			child++
		}
		if !a.before(a.order[child], who) {
			break
		}
		a.order[i] = a.order[child]
		a.place[a.order[i]] = i
		i = child
	}
	a.order[i], a.place[who] = who, i
}
