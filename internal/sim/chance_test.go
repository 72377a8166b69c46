package sim

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ell/internal/cta"
	"ell/internal/event"
)

func TestExponentialVariates(t *testing.T) {
	w := &world{log: newLogTable()}
	r := newRNG(1, streamRiders, 1)
	const n, mean = 1_000_000, 10_000
	var sum, squares float64
	var beyond [4]int // more than one, two … means
	for range n {
		x := float64(w.exponential(&r, mean)) / mean
		sum += x
		squares += x * x
		for k := range beyond {
			if x > float64(k+1) {
				beyond[k]++
			}
		}
	}
	if m := sum / n; math.Abs(m-1) > 0.005 {
		t.Errorf("mean %g", m)
	}
	if m := squares / n; math.Abs(m-2) > 0.02 {
		t.Errorf("mean square %g, want 2", m)
	}
	for k, got := range beyond {
		want := n * math.Exp(-float64(k+1))
		if math.Abs(float64(got)-want) > 5*math.Sqrt(want) {
			t.Errorf("%d of %d beyond %d means, want %.0f", got, n, k+1, want)
		}
	}
}

func TestVariatesStayInBounds(t *testing.T) {
	r := newRNG(1, streamTrain, 1)
	var lo, hi int64 = math.MaxInt64, 0
	for range 100_000 {
		x := r.around(100, 5)
		lo, hi = min(lo, x), max(hi, x)
	}
	if lo != 95 || hi != 105 {
		t.Errorf("from %d to %d, want 95 to 105", lo, hi)
	}
	if newRNG(1, streamTrain, 1) == newRNG(1, streamTrain, 2) || newRNG(1, streamTrain, 1) == newRNG(2, streamTrain, 1) ||
		newRNG(1, streamTrain, 1) == newRNG(1, streamRiders, 1) {
		t.Error("two streams are one")
	}
}

func TestTheAgendaIsInOrder(t *testing.T) {
	const n = 50
	var a agenda
	a.init(n)
	want := make(map[int32]int64)
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		who := int32(r.IntN(n))
		if r.IntN(3) == 0 {
			a.clear(who)
			delete(want, who)
		} else {
			want[who] = r.Int64N(100)
			a.set(who, want[who])
		}
		first, at := none, int64(never)
		for w := range int32(n) {
			if v, ok := want[w]; ok && v < at {
				first, at = w, v
			}
		}
		if gotAt, got := a.next(); got != first || gotAt != at {
			t.Fatalf("next is %d at %d, want %d at %d", got, gotAt, first, at)
		}
	}
}

func TestEventsAreNotAllocated(t *testing.T) {
	c := mustCity(t, cta.Chicago(), Options{Seed: 1, Start: wednesday + 4*hour})
	var n count
	per := testing.AllocsPerRun(1, func() { n = count{}; c.Advance(c.Now()+2*hour, &n) })
	// A fresh train has a name, a queue grows once.
	if events := n.arrivals + n.entries; events < 50_000 || per > float64(events)/200 {
		t.Errorf("%g allocations for %d events", per, events)
	}
}

func TestALargerNetworkRuns(t *testing.T) {
	net, err := cta.Synthetic(3)
	if err != nil {
		t.Fatal(err)
	}
	c := mustCity(t, net, Options{Seed: 1, Start: wednesday + 4*hour, Incidents: "heavy"})
	in := inspect(t, net)
	in.warm(c)
	c.Advance(c.Now()+hour, in)
	if len(in.arrivals) != 24 || len(in.trains) < 250 {
		t.Errorf("%d trains on %d lines", len(in.trains), len(in.arrivals))
	}
	if _, err := Restore(net, c.Snapshot()); err != nil {
		t.Error(err)
	}
}

func TestRidersFollowTheTrainsOfTheirHour(t *testing.T) {
	// From three to four only the Red Line calls at Belmont.
	const belmont = 41320
	c := mustCity(t, cta.Chicago(), Options{Seed: 1, Start: wednesday})
	night := inspect(t, cta.Chicago())
	night.warm(c)
	c.Advance(wednesday+hour-1, night)
	if got := night.gates[belmont].lines; got["brown"]+got["purple"] > 0 || got["red"] == 0 {
		t.Errorf("riders at Belmont from 3 to 4: %v", got)
	}
	clear(night.gates[belmont].lines)
	c.Advance(wednesday+6*hour, night)
	if got := night.gates[belmont].lines; got["brown"] == 0 || got["purple"] == 0 || got["red"] < got["brown"] {
		t.Errorf("riders at Belmont in the morning: %v", got)
	}
}

func TestWeather(t *testing.T) {
	start := chicago(2025, time.January, 1, 0, 0)
	w := NewWeather(1, start)
	var all []event.Weather
	for at := start - 1; ; {
		r := w.Next(at)
		if r.Timestamp >= start+365*24*hour {
			break
		}
		if want := at + WeatherEvery; at >= start && r.Timestamp != want || r.Timestamp <= at {
			t.Fatalf("after %d comes %d", at, r.Timestamp)
		}
		all = append(all, r)
		at = r.Timestamp
	}
	if all[0].Timestamp != start {
		t.Errorf("the first reading is at %d, want %d", all[0].Timestamp, start)
	}

	t.Run("any reading is the same in any order", func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 1))
		again := NewWeather(1, start)
		for range 1000 {
			want := all[r.IntN(len(all))]
			if got := again.Next(want.Timestamp - 1 - r.Int64N(WeatherEvery)); got != want && got.Timestamp > start {
				t.Fatalf("got %+v, want %+v", got, want)
			}
		}
		if NewWeather(2, start).Next(start) == w.Next(start) {
			t.Error("two seeds have one weather")
		}
	})
	t.Run("it is Chicago's by month", func(t *testing.T) {
		var sum, n [12]float64
		for _, r := range all {
			m := clock(r.Timestamp).Month() - 1
			sum[m] += float64(r.Temperature)
			n[m]++
		}
		for m := range sum {
			if mean := sum[m] / n[m]; math.Abs(mean-normals[m]) > 10 {
				t.Errorf("%v has a mean of %.1f °F, normal is %.1f", time.Month(m+1), mean, normals[m])
			}
		}
	})
	t.Run("it changes slowly and stays within bounds", func(t *testing.T) {
		words := make(map[string]int)
		changes := 0
		for i, r := range all {
			words[r.Status]++
			if r.Temperature < coldest || r.Temperature > hottest {
				t.Fatalf("%+v", r)
			}
			if i > 0 {
				if d := r.Temperature - all[i-1].Temperature; d < -3 || d > 3 {
					t.Errorf("%+v after %+v", r, all[i-1])
				}
				if r.Status != all[i-1].Status {
					changes++
				}
			}
		}
		for _, s := range []string{"sunny", "partly_cloudy", "cloudy", "windy", "precipitation"} {
			if share := float64(words[s]) / float64(len(all)); share < 0.05 || share > 0.5 {
				t.Errorf("%s %.0f %% of the time", s, share*100)
			}
		}
		if len(words) != 5 || changes > len(all)/10 {
			t.Errorf("statuses %v, %d changes", words, changes)
		}
	})
	t.Run("it returns to the normal from every side", func(t *testing.T) {
		// Twenty years: the mean of the swing is near 0, its spread near 1.
		var v []float64
		for y := range 20 {
			for d := range 365 {
				v = append(v, w.heat.at(start+int64(y*365+d)*24*hour))
			}
		}
		var sum, squares float64
		for _, x := range v {
			sum += x
			squares += x * x
		}
		n := float64(len(v))
		if math.Abs(sum/n) > 0.1 || math.Abs(math.Sqrt(squares/n)-1) > 0.1 || slices.Max(v) < 2 || slices.Min(v) > -2 {
			t.Errorf("mean %.2f, spread %.2f, from %.1f to %.1f", sum/n, math.Sqrt(squares/n), slices.Min(v), slices.Max(v))
		}
	})
}
