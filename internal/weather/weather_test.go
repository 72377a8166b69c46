package weather_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ell/internal/access"
	"ell/internal/event"
	"ell/internal/weather"
)

// proxy answers requests by script; the last answer repeats. It is an
// http.RoundTripper, so that retries run on synctest's clock.
type proxy struct {
	mu      sync.Mutex
	answers []func(n int) (int, string)
	taken   []int64 // event times of readings answered well
	asked   int
}

func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var req struct {
		Records []struct{ Key struct{ Timestamp int64 } }
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, err
	}
	answer := p.answers[min(p.asked, len(p.answers)-1)]
	p.asked++
	status, text := answer(len(req.Records))
	if status == 0 {
		return nil, fmt.Errorf("connection refused")
	}
	var a struct {
		Offsets []struct {
			Offset    *int64
			ErrorCode *int `json:"error_code"`
		}
	}
	if status == 200 && json.Unmarshal([]byte(text), &a) == nil && len(a.Offsets) == len(req.Records) {
		for i, o := range a.Offsets {
			if o.ErrorCode == nil && o.Offset != nil {
				p.taken = append(p.taken, req.Records[i].Key.Timestamp)
			} else if *o.ErrorCode != 1 && *o.ErrorCode != 50002 {
				break
			}
		}
	}
	rec := httptest.NewRecorder()
	rec.WriteHeader(status)
	rec.WriteString(text)
	return rec.Result(), nil
}

func well(n int) (int, string) {
	return 200, `{"offsets":[` + strings.TrimSuffix(strings.Repeat(`{"partition":0,"offset":1,"error_code":null,"error":null},`, n), ",") + `]}`
}

func says(status int, text string) func(int) (int, string) {
	return func(int) (int, string) { return status, text }
}

func TestReadingsArriveInOrderWhateverTheProxyDoes(t *testing.T) {
	for name, answers := range map[string][]func(int) (int, string){
		"it works":                              {well},
		"it is away at first":                   {says(0, ""), says(0, ""), well},
		"it answers 500, then HTML":             {says(500, "oops"), says(200, "<html>"), well},
		"it answers an endless body":            {says(200, strings.Repeat("x", 2<<20)), well},
		"it answers for too few records":        {says(200, `{"offsets":[]}`), well},
		"it redirects to another host":          {says(302, ""), well},
		"one record fails in a way that passes": {says(200, `{"offsets":[{"error_code":2,"error":"broker away"}]}`), well},
		"Confluent's own code for that":         {says(200, `{"offsets":[{"error_code":50003,"error":"broker away"}]}`), well},
		"it is not allowed, for a while":        {says(200, `{"offsets":[{"error_code":40301,"error":"not authorized"}]}`), says(401, `{"error_code":40101}`), well},
		"the topic comes later":                 {says(404, `{"error_code":40401,"message":"Topic not found."}`), well},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &proxy{answers: answers}
				var accepted int64
				d := device(t, weather.Config{Client: &http.Client{Transport: p, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, Accepted: func(at int64) { accepted = at }})
				stop := run(t, d)
				for at := int64(1); at <= 5; at++ {
					d.Offer(event.Weather{Timestamp: at, Temperature: 70, Status: "sunny"})
					synctest.Wait()
				}
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				stop()
				if want := []int64{1, 2, 3, 4, 5}; !slices.Equal(p.taken, want) {
					t.Errorf("the proxy took %v, want %v", p.taken, want)
				}
				if s := d.Stats(); s.Sent != 5 || s.Spooled != 0 || s.Dropped != 0 || accepted != 5 {
					t.Errorf("%+v, accepted %d", s, accepted)
				}
			})
		})
	}
}

func TestAReadingThatIsRefusedForGoodDoesNotHoldUpTheNext(t *testing.T) {
	for name, refusal := range map[string]func(int) (int, string){
		"the whole request, 422":     says(422, `{"error_code":42203,"message":"no"}`),
		"the record inside of a 200": says(200, `{"offsets":[{"error_code":1,"error":"too large"}]}`),
		"the same by Confluent":      says(200, `{"offsets":[{"error_code":50002,"error":"too large"}]}`),
		"the request is too large":   says(413, `{"error_code":413}`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &proxy{answers: []func(int) (int, string){refusal, well}}
				d := device(t, weather.Config{Client: &http.Client{Transport: p}})
				stop := run(t, d)
				d.Offer(event.Weather{Timestamp: 1})
				synctest.Wait()
				d.Offer(event.Weather{Timestamp: 2})
				time.Sleep(time.Minute)
				stop()
				if s := d.Stats(); s.Refused != 1 || s.Sent != 1 || !slices.Equal(p.taken, []int64{2}) {
					t.Errorf("%+v, taken %v", s, p.taken)
				}
			})
		})
	}
}

func TestAReadingThatIsNoNumberDoesNotCostAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proxy{answers: []func(int) (int, string){well}}
		d := device(t, weather.Config{Client: &http.Client{Transport: p}})
		for at, temperature := range []float32{70, float32(math.NaN()), 71, float32(math.Inf(1)), 72} {
			d.Offer(event.Weather{Timestamp: int64(at), Temperature: temperature, Status: "sunny"})
		}
		stop := run(t, d)
		time.Sleep(time.Minute)
		stop()
		if s := d.Stats(); s.Refused != 2 || !slices.Equal(p.taken, []int64{0, 2, 4}) {
			t.Errorf("%+v, taken %v", s, p.taken)
		}
	})
}

func TestOneBadReadingAmongManyIsFoundAndTheRestArrivesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken []int64
		p := transport(func(r *http.Request) (int, string) {
			var req struct {
				Records []struct{ Key struct{ Timestamp int64 } }
			}
			if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
				t.Error(err)
			}
			for _, rec := range req.Records {
				if rec.Key.Timestamp == 7 {
					return 422, `{"error_code":42203,"message":"value of record: no"}`
				}
			}
			for _, rec := range req.Records {
				taken = append(taken, rec.Key.Timestamp)
			}
			return well(len(req.Records))
		})
		d := device(t, weather.Config{Client: &http.Client{Transport: p}})
		for at := range int64(10) {
			d.Offer(event.Weather{Timestamp: at, Temperature: 70, Status: "sunny"})
		}
		stop := run(t, d)
		time.Sleep(time.Minute)
		stop()
		if s := d.Stats(); s.Refused != 1 || !slices.Equal(taken, []int64{0, 1, 2, 3, 4, 5, 6, 8, 9}) {
			t.Errorf("%+v, taken %v", s, taken)
		}
	})
}

func TestAStopDoesNotWaitForAProxyThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalls := roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		d := device(t, weather.Config{Client: &http.Client{Transport: stalls}})
		d.Offer(event.Weather{Timestamp: 1, Temperature: 70, Status: "sunny"})
		stop := run(t, d)
		synctest.Wait()
		began := time.Now()
		stop()
		if took := time.Since(began); took != 0 {
			t.Errorf("stopping took %v", took)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// transport answers by f.
func transport(f func(*http.Request) (int, string)) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		status, text := f(r)
		rec := httptest.NewRecorder()
		rec.WriteHeader(status)
		rec.WriteString(text)
		return rec.Result(), nil
	})
}

func TestAFullSpoolGivesUpTheOldestAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proxy{answers: []func(int) (int, string){says(0, "")}}
		d := device(t, weather.Config{Client: &http.Client{Transport: p}, Spool: 3})
		stop := run(t, d)
		for at := int64(1); at <= 10; at++ {
			d.Offer(event.Weather{Timestamp: at})
		}
		time.Sleep(time.Minute)
		p.mu.Lock()
		asked := p.asked
		p.answers = []func(int) (int, string){well}
		p.asked = 0
		p.mu.Unlock()
		time.Sleep(time.Minute)
		stop()
		if !slices.Equal(p.taken, []int64{8, 9, 10}) {
			t.Errorf("the proxy took %v", p.taken)
		}
		if s := d.Stats(); s.Dropped != 7 {
			t.Errorf("%+v", s)
		}
		if asked > 20 {
			t.Errorf("%d requests in a minute to a proxy that is away: no pause between them", asked)
		}
	})
}

func device(t *testing.T, c weather.Config) *weather.Device {
	t.Helper()
	c.Proxy.URL, c.Topic = "http://127.0.0.1:8082", "weather"
	d, err := weather.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func run(t *testing.T, d *weather.Device) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return func() { cancel(); done.Wait() }
}

func TestAProxyThatCannotBeIsRefusedAtOnce(t *testing.T) {
	for _, u := range []string{"", "127.0.0.1:8082", "ftp://x", "http://"} {
		if _, err := weather.New(weather.Config{Proxy: access.HTTP{URL: u}, Topic: "t"}); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
}
