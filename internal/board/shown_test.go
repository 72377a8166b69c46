package board

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ell/internal/cta"
	"ell/internal/event"
)

func TestTheAgeOfAnArrivalIsToldOnceWhenItIsFirstShown(t *testing.T) {
	var ages []int64
	b, err := New(Options{Network: cta.Chicago(), Decoder: jsonDecoder{}, Names: names, Shown: func(age int64) { ages = append(ages, age) }})
	if err != nil {
		t.Fatal(err)
	}
	w := &writer{wall: wallStart}
	train := place(cta.Chicago(), "R101", 0, 3, cityStart)
	show := func(after int64, want ...int64) {
		t.Helper()
		ages = nil
		b.Frame(w.wall + after)
		if diff := cmp.Diff(want, ages); diff != "" {
			t.Error(diff)
		}
	}
	apply(t, b, w.train(train))
	show(20) // what is there at the start is no news

	train.Call, train.ArrivedAt = 4, cityStart+60_000
	w.wall += 6000
	apply(t, b, w.train(train), w.train(place(cta.Chicago(), "R102", 0, 9, cityStart)))
	show(20, 27, 27) // appended by the city 7 ms before the processor's record

	known := event.Source{Topic: names.ByLine(), Partition: 3, Offset: w.offset, Appended: w.wall}
	train.Source = known
	w.wall += 500
	apply(t, b, w.record(names.Trains(), train.TrainID, train))
	show(20, 520)
	train.DueAt += 9000 // a prediction moves; the arrival is the one that was shown
	w.wall += 500
	apply(t, b, w.record(names.Trains(), train.TrainID, train))
	show(20)
}
