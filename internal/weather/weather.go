// Package weather is the city's weather device: old hardware that cannot run a
// Kafka client and reports each reading to a Kafka REST Proxy over HTTP. While
// the proxy is away it keeps readings in a bounded spool and sends them later,
// in order.
//
// It deliberately knows no Kafka, and it promises each reading at least once: an
// answer that is lost leads to a second copy, which readers know by its key.
package weather

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"ell/internal/access"
	"ell/internal/event"
)

const (
	contentType = "application/vnd.kafka.avro.v2+json"
	accept      = "application/vnd.kafka.v2+json"

	defaultSpool   = 1024 // readings: a week of the city at six an hour
	maxBatch       = 100  // readings in one request
	maxAnswer      = 1 << 20
	requestTimeout = 10 * time.Second
	firstPause     = 200 * time.Millisecond
	longestPause   = 15 * time.Second
)

// Config says where a Device reports.
type Config struct {
	Proxy access.HTTP // the REST Proxy
	Topic string
	// Client sends requests instead of Proxy's own; tests use it.
	Client *http.Client
	// Spool bounds the readings kept while the proxy is away; the oldest give
	// way. Default 1024.
	Spool int
	// Accepted, if set, is told the event time in ms of the newest reading the proxy took.
	Accepted func(at int64)
	Logger   *slog.Logger // nil: discard
}

// Stats counts what became of readings.
type Stats struct {
	Sent    int64 // taken by the proxy
	Dropped int64 // given up because the spool was full
	Refused int64 // refused by the proxy for what they are
	Retries int64 // requests that had to be repeated
	Spooled int   // waiting now
}

// Device reports readings. Offer may be called from any goroutine, Run once.
type Device struct {
	cfg     Config
	target  string
	schemas [2]string // key, value

	mu    sync.Mutex // guards spool
	spool []event.Weather
	news  chan struct{} // capacity 1: there is something in the spool

	sent, dropped, refused, retries atomic.Int64
}

// New checks cfg. It contacts nobody.
func New(cfg Config) (*Device, error) {
	client, err := cfg.Proxy.Client(requestTimeout)
	if err != nil {
		return nil, fmt.Errorf("weather device: the REST Proxy: %w", err)
	}
	if cfg.Topic == "" {
		return nil, errors.New("weather device: no topic")
	}
	if cfg.Spool <= 0 {
		cfg.Spool = defaultSpool
	}
	if cfg.Client == nil {
		cfg.Client = client
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Device{cfg: cfg, target: cfg.Proxy.Join("topics", cfg.Topic), news: make(chan struct{}, 1)}
	for i, name := range []string{"weather_key", "weather_value"} {
		s, ok := event.SchemaByName(name)
		if !ok {
			return nil, fmt.Errorf("weather device: there is no schema %s", name)
		}
		d.schemas[i] = s.Text
	}
	return d, nil
}

// Stats reads the counters.
func (d *Device) Stats() Stats {
	d.mu.Lock()
	n := len(d.spool)
	d.mu.Unlock()
	return Stats{Sent: d.sent.Load(), Dropped: d.dropped.Load(), Refused: d.refused.Load(), Retries: d.retries.Load(), Spooled: n}
}

// Offer takes a reading to report. It never waits: where the spool is full the
// oldest reading is given up and counted. A temperature that is no number is refused.
func (d *Device) Offer(w event.Weather) {
	if t := float64(w.Temperature); math.IsNaN(t) || math.IsInf(t, 0) {
		d.refuse(w, "its temperature is no number")
		return
	}
	d.mu.Lock()
	if len(d.spool) >= d.cfg.Spool {
		d.spool = d.spool[1:]
		d.dropped.Add(1)
	}
	d.spool = append(d.spool, w)
	d.mu.Unlock()
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// next copies the oldest readings of the spool into buf.
func (d *Device) next(buf []event.Weather) []event.Weather {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append(buf[:0], d.spool[:min(len(d.spool), maxBatch)]...)
}

// done removes readings up to a time, which were sent or refused.
func (d *Device) done(upTo int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for n < len(d.spool) && d.spool[n].Timestamp <= upTo {
		n++
	}
	d.spool = d.spool[n:]
}

// Run reports readings until ctx ends, then returns nil. What is still in the
// spool is not sent: whoever offered it knows from Accepted where to go on.
func (d *Device) Run(ctx context.Context) error {
	var batch []event.Weather
	pause, away := firstPause, false
	for {
		if batch = d.next(batch); len(batch) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-d.news:
			}
			continue
		}
		settled, err := d.send(ctx, batch)
		if err == nil && away {
			d.cfg.Logger.Info("the REST Proxy takes the weather again", "proxy", d.target)
			away = false
		}
		if settled > 0 {
			d.done(batch[settled-1].Timestamp)
			pause = firstPause
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		d.retries.Add(1)
		if !away { // once, not at every try
			d.cfg.Logger.Warn("the REST Proxy does not take the weather; readings wait in the spool", "proxy", d.target, "err", err)
			away = true
		}
		wait := pause/2 + rand.N(pause) //nolint:gosec // spreads retries, hides nothing
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		pause = min(2*pause, longestPause)
	}
}

type (
	request struct {
		KeySchema   string   `json:"key_schema"`
		ValueSchema string   `json:"value_schema"`
		Records     []record `json:"records"`
	}
	record struct {
		Key   key   `json:"key"`
		Value value `json:"value"`
	}
	key struct {
		Timestamp int64 `json:"timestamp"`
	}
	value struct {
		Temperature float32 `json:"temperature"`
		Status      string  `json:"status"`
	}
	answer struct {
		Offsets []struct {
			Offset    *int64  `json:"offset"`
			ErrorCode *int    `json:"error_code"`
			Error     *string `json:"error"`
		} `json:"offsets"`
	}
)

// hopeless says whether a per-record error code means that the record itself is
// at fault: 1 by the API's documentation, 50002 by Confluent's own proxy. All
// others, such as 2, 50003 (Kafka is away) and 40301 (not allowed, which an
// operator can mend), are worth another try.
func hopeless(code int) bool { return code == 1 || code == 50002 }

// send reports batch and returns how many of its readings, from the first, are
// settled: taken, or refused for good. An error says why the rest is not.
func (d *Device) send(ctx context.Context, batch []event.Weather) (settled int, err error) {
	req := request{KeySchema: d.schemas[0], ValueSchema: d.schemas[1]}
	for _, w := range batch {
		req.Records = append(req.Records, record{key{w.Timestamp}, value{w.Temperature, w.Status}})
	}
	body, err := json.Marshal(req)
	if err != nil {
		return 0, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, d.target, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	post.Header.Set("Content-Type", contentType)
	post.Header.Set("Accept", accept)
	resp, err := d.cfg.Client.Do(post)
	if err != nil {
		return 0, access.Explain(err, "--rest-proxy")
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return 0, err
	case atFault(resp.StatusCode) && len(batch) > 1:
		return d.send(ctx, batch[:1]) // one of them is at fault, or it is their number; go one by one
	case atFault(resp.StatusCode):
		d.refuse(batch[0], fmt.Sprintf("%.200s", text))
		return 1, nil
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return 0, fmt.Errorf("%s answers %s: set --rest-proxy-user and its password, or a token", d.target, resp.Status)
	case resp.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("%s answers %s: %.200q", d.target, resp.Status, text)
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return 0, fmt.Errorf("%s answers what is no JSON: %w", d.target, err)
	}
	if len(a.Offsets) != len(batch) {
		return 0, fmt.Errorf("%s answers %d offsets to %d records", d.target, len(a.Offsets), len(batch))
	}
	return d.settle(batch, a)
}

// atFault says whether a status is about what was sent.
func atFault(status int) bool {
	return status == http.StatusUnprocessableEntity || status == http.StatusRequestEntityTooLarge
}

// settle goes through a 200, which may hold an error for each record.
func (d *Device) settle(batch []event.Weather, a answer) (int, error) {
	for i, o := range a.Offsets {
		text := ""
		if o.Error != nil {
			text = *o.Error
		}
		switch {
		case o.ErrorCode == nil && o.Error == nil && o.Offset != nil:
			d.sent.Add(1)
			if d.cfg.Accepted != nil {
				d.cfg.Accepted(batch[i].Timestamp)
			}
		case o.ErrorCode != nil && hopeless(*o.ErrorCode):
			d.refuse(batch[i], text)
		default:
			return i, fmt.Errorf("%s did not take the reading of %d: %.200q", d.target, batch[i].Timestamp, text)
		}
	}
	return len(batch), nil
}

func (d *Device) refuse(w event.Weather, why string) {
	d.refused.Add(1)
	d.cfg.Logger.Warn("a reading was refused and is given up", "at", w.Timestamp, "why", why)
}
