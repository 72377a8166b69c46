package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/access"
	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/weather"
)

// The way of a reading from the device to whoever reads the topic: device and
// gateway agree on the schemas by the registry alone.
func TestReadingsOfTheDeviceAreReadOffTheTopic(t *testing.T) {
	proxyURL, cluster, reg := proxy(t)
	ids, err := reg.RegisterAll(t.Context(), event.Schemas())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := event.NewEncoder(ids); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	refusals := 2 // the proxy is away at first
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		refusals--
		away := refusals >= 0
		mu.Unlock()
		if away {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		on, err := http.NewRequestWithContext(r.Context(), r.Method, proxyURL+r.URL.Path, r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		on.Header = r.Header
		resp, err := http.DefaultClient.Do(on)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		if _, err := io.Copy(w, resp.Body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(front.Close)

	want := []event.Weather{
		{Timestamp: 1776196800000, Temperature: 71.3, Status: "sunny"},
		{Timestamp: 1776197400000, Temperature: -12.75, Status: "precipitation"},
		{Timestamp: 1776198000000, Temperature: 0, Status: "partly_cloudy"},
	}
	accepted := make(chan int64, len(want)) // one each
	d, err := weather.New(weather.Config{Proxy: access.HTTP{URL: front.URL}, Topic: "t", Accepted: func(at int64) { accepted <- at }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, w := range want {
		d.Offer(w)
	}
	for _, w := range want {
		select {
		case at := <-accepted:
			if at != w.Timestamp {
				t.Errorf("accepted %d, want %d", at, w.Timestamp)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("the reading of %d was not accepted: %+v", w.Timestamp, d.Stats())
		}
	}
	stop()
	running.Wait()

	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	dec := event.NewDecoder(reg)
	got := map[int64]event.Weather{}
	for len(got) < len(want) {
		fs := cl.PollFetches(t.Context())
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			var rec event.Record
			var w event.Weather
			kafka.FromKgo(r, &rec)
			if err := dec.Weather(&rec, &w); err != nil {
				t.Error(err)
			}
			if keyID, _, err := event.Unframe(rec.Key); err != nil || keyID != ids["weather_key"] {
				t.Errorf("key written with schema %d, want the registered %d (%v)", keyID, ids["weather_key"], err)
			}
			got[w.Timestamp] = w
		})
	}
	for _, w := range want {
		if diff := cmp.Diff(w, got[w.Timestamp]); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}
