package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ell/internal/board"
	"ell/internal/cta"
	"ell/internal/event"
)

// jsonDecoder reads records whose values are the JSON of their Go types.
type jsonDecoder struct{}

func decode(r *event.Record, v any) error { return json.Unmarshal(r.Value, v) }

func (jsonDecoder) Train(r *event.Record, t *event.Train) error     { return decode(r, t) }
func (jsonDecoder) Line(r *event.Record, l *event.LineStatus) error { return decode(r, l) }
func (jsonDecoder) Window(r *event.Record, w *event.Window) error   { return decode(r, w) }
func (jsonDecoder) Weather(r *event.Record, w *event.Weather) error { return decode(r, w) }
func (jsonDecoder) Clock(r *event.Record, c *event.Clock) error     { return decode(r, c) }

type pumped struct {
	t     *testing.T
	board *board.Board
	hub   *Hub
	pump  *Pump
	names event.Names
	stop  func()
}

func startPump(t *testing.T) *pumped {
	t.Helper()
	p := &pumped{t: t, names: event.Names{Prefix: "p."}}
	var err error
	if p.board, err = board.New(board.Options{Network: cta.Chicago(), Decoder: jsonDecoder{}, Names: p.names}); err != nil {
		t.Fatal(err)
	}
	if p.hub, err = New(Options{Epoch: "e1"}); err != nil {
		t.Fatal(err)
	}
	p.pump = NewPump(p.board, p.hub, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.pump.Run(ctx) }()
	p.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return p
}

func (p *pumped) send(topic string, value any) {
	p.t.Helper()
	body, err := json.Marshal(value)
	if err != nil {
		p.t.Fatal(err)
	}
	r := event.Record{Topic: topic, Key: []byte("k"), Value: body, Appended: time.Now().UnixMilli()}
	if err := p.pump.Batch(p.t.Context(), []event.Record{r}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pumped) train(n int) {
	p.send(p.names.Trains(), event.Train{TrainID: fmt.Sprint("RD", n), Line: "red", Pattern: "red-main", ArrivedAt: int64(n + 1)})
}

func (p *pumped) seq() uint64 { return p.hub.Stats().Seq }

func TestPumpPublishesNothingBeforeTheBoardCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPump(t)
		defer p.stop()
		for i := range 10 {
			p.train(i)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.seq() != 0 || p.pump.CaughtUp() {
			t.Errorf("frame %d before the board has caught up", p.seq())
		}
		p.pump.Ready()
		p.pump.Ready()
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if p.seq() != 1 || !p.pump.CaughtUp() {
			t.Errorf("frame %d after it has", p.seq())
		}
	})
}

func TestTrainChangesAreGatheredForAtMost20Milliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPump(t)
		defer p.stop()
		p.train(0)
		p.pump.Ready()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		began, before := time.Now(), p.seq()
		p.train(1)
		for p.seq() == before {
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if took := time.Since(began); took > 20*time.Millisecond {
			t.Errorf("a change waited %v", took)
		}
		// A stream of changes, one a millisecond, makes a frame every 20 ms and no fewer.
		before = p.seq()
		for i := range 1000 {
			p.train(i)
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if n := p.seq() - before; n < 45 || n > 52 {
			t.Errorf("%d frames in a second of steady changes, want about 50", n)
		}
		for _, f := range p.hub.ring {
			if strings.Count(string(f.body[identity]), "\n") != 4 {
				t.Errorf("frame %d is not one message: %q", f.seq, f.body[identity])
			}
		}
	})
}

func TestTotalsAreGatheredForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPump(t)
		defer p.stop()
		p.train(0)
		p.pump.Ready()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		before := p.seq()
		for i := range 10_000 {
			p.send(p.names.Summary(), event.Summary{StationID: 40900, Count: int64(i)})
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if n := p.seq() - before; n < 9 || n > 11 {
			t.Errorf("%d frames in 10 s of totals, want about 10", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := p.seq() - before; n > 12 {
			t.Errorf("%d frames though nothing happened", n)
		}
	})
}
