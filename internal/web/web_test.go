package web

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ell/internal/access"
	"ell/internal/board"
	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/hub"
)

var update = flag.Bool("update", false, "write golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// jsonDecoder reads records whose values are the JSON of their Go types.
type jsonDecoder struct{}

func decode(r *event.Record, v any) error { return json.Unmarshal(r.Value, v) }

func (jsonDecoder) Train(r *event.Record, t *event.Train) error     { return decode(r, t) }
func (jsonDecoder) Line(r *event.Record, l *event.LineStatus) error { return decode(r, l) }
func (jsonDecoder) Window(r *event.Record, w *event.Window) error   { return decode(r, w) }
func (jsonDecoder) Weather(r *event.Record, w *event.Weather) error { return decode(r, w) }
func (jsonDecoder) Clock(r *event.Record, c *event.Clock) error     { return decode(r, c) }

const (
	cityStart = int64(1761913800000) // Friday 31 October 2025, 07:30 in Chicago
	wallStart = int64(1800000000000)
	hostile   = "<img src=x onerror=alert(1)></script>\u202e & \"O'Hare\""
)

var names = event.Names{Prefix: "org.chicago.cta."}

// city is a server over a small state, without a listener.
type city struct {
	*Server
	handler  http.Handler
	commands []event.Command
	fail     error
	waiting  []string
}

func put(t testing.TB, b *board.Board, topic, key string, value any) {
	t.Helper()
	body, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	r := event.Record{Topic: topic, Partition: 2, Offset: 41, Appended: wallStart - 5, Key: []byte(key), Value: body}
	if err := b.Apply(&r); err != nil {
		t.Fatal(err)
	}
}

func newCity(t testing.TB, change func(*Config)) *city {
	t.Helper()
	net := cta.Chicago()
	b, err := board.New(board.Options{Network: net, Decoder: jsonDecoder{}, Names: names, Control: true})
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Options{Epoch: "e1"})
	if err != nil {
		t.Fatal(err)
	}
	c := &city{}
	cfg := Config{
		Network: net, Board: b, Hub: h, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.UnixMilli(wallStart + 2000) },
		Control: func(_ context.Context, cmd event.Command) error {
			c.commands = append(c.commands, cmd)
			return c.fail
		},
		Ready:  func() []string { return c.waiting },
		System: func() any { return map[string]string{"who": "test"} },
		Pipeline: func() Pipeline {
			return Pipeline{
				Nodes:       []PipelineNode{{ID: "city", Kind: "producer", Name: "City", State: "ok", Detail: hostile, Rate: 12.5}},
				Edges:       []PipelineEdge{{From: "city", To: "forward", Topic: "x", Rate: 3, LagRecords: 4, LagMS: 5}},
				DeadLetters: 2, At: wallStart,
			}
		},
		Log: fakeLog{},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := newServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.Server, c.handler = s, s.routes(access.NewHosts(onLoopback, cfg.Hosts))
	return c
}

var onLoopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}

// fill gives the board a state with a train of every kind and a hostile name.
func (c *city) fill(t testing.TB) *city {
	t.Helper()
	net, b := c.cfg.Network, c.cfg.Board
	for _, l := range net.Lines {
		for i, id := range l.Stations {
			put(t, b, names.StationsTable(), fmt.Sprint(l.ID, id), event.StationOnLine{StationID: id, StationName: net.Station(id).Name, Order: int32(i), Line: l.ID})
		}
	}
	put(t, b, names.StationsTable(), "hostile", event.StationOnLine{StationID: 49999, StationName: hostile, Order: 99, Line: "red"})
	put(t, b, names.Summary(), "40900", event.Summary{StationID: 40900, Count: 1234567})
	put(t, b, names.Lines(), "red", event.LineStatus{
		Line: "red", Status: event.StatusDelays, Reason: "Slow <b>zone</b> at Howard.", Trains: 1, UpdatedAt: cityStart,
		Headways: []event.Headway{{Direction: "a", Observed: 600, Scheduled: 258}, {Direction: "b", Observed: 61}},
	})
	put(t, b, names.Weather(), "w", event.Weather{Timestamp: cityStart, Temperature: 48.6, Status: "partly_cloudy"})
	put(t, b, names.Clock(), "clock", event.Clock{CityTime: cityStart, WallTime: wallStart, Speed: 10, Seed: 1, Start: cityStart})
	for i, status := range []string{event.InService, event.BrokenDown, event.OutOfService} {
		p := net.Patterns[0]
		call := p.Calls[i*3]
		put(t, b, names.Trains(), fmt.Sprint("RD10", i), event.Train{
			TrainID: fmt.Sprint("RD10", i), Line: p.Line, Pattern: p.ID, Call: int32(i * 3), StationID: call.Station, Direction: call.Direction.String(),
			Status: status, ArrivedAt: cityStart, DepartAt: cityStart + 30_000, NextCall: int32(i*3 + 1), DueAt: cityStart + 150_000, DelayS: 360,
			Source: event.Source{Topic: "arrivals", Partition: 1, Offset: 7, Appended: wallStart - 9},
		})
	}
	if _, ok := b.Frame(wallStart); !ok {
		t.Fatal("no frame")
	}
	return c
}

// fakeLog is a log of one topic.
type fakeLog struct{}

func (fakeLog) Topics(context.Context) ([]TopicInfo, error) {
	return []TopicInfo{{Name: "arrivals", Records: 9}}, nil
}

func (fakeLog) Topic(_ context.Context, name string) (TopicInfo, error) {
	if name != "arrivals" {
		return TopicInfo{}, fmt.Errorf("topic %s: %w", name, ErrNoTopic)
	}
	return TopicInfo{Name: name}, nil
}

func (fakeLog) Records(_ context.Context, q RecordQuery) (RecordPage, error) {
	if q.Topic == "broken" {
		return RecordPage{}, errors.New("secret detail of the broker")
	}
	if q.Topic != "arrivals" {
		return RecordPage{}, ErrNoTopic
	}
	return RecordPage{Records: []LogRecord{{Topic: q.Topic, Partition: q.Partition, Offset: q.Offset, Value: Datum{Format: "json", JSON: []byte(`{"x":1}`)}}}}, nil
}

// get asks as a client on this machine would.
func (c *city) get(t testing.TB, path string, headers ...string) *http.Response {
	t.Helper()
	return c.do(t, http.MethodGet, path, "", headers...)
}

func (c *city) do(t testing.TB, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8888"
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		if k == "Host" {
			r.Host = v
		} else {
			r.Header.Add(k, v)
		}
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return w.Result()
}

func text(t testing.TB, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	var r io.Reader = res.Body
	if res.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs, -update writes it anew:\n%s", name, diff)
	}
}

func TestGoldenPages(t *testing.T) {
	c := newCity(t, nil).fill(t)
	for name, path := range map[string]string{
		"system.html": "/", "line.html": "/line/red", "station.html": "/station/40900", "train.html": "/train/RD100",
		"pipeline.html": "/pipeline", "missing.html": "/train/XX999", "hostile.html": "/station/49999",
		"lines.json": "/api/v1/lines", "train.json": "/api/v1/trains/RD100", "station.json": "/api/v1/stations/40900",
		"records.json": "/api/v1/trains/RD100/records", "clock.json": "/api/v1/clock", "weather.json": "/api/v1/weather", "entries.json": "/api/v1/entries",
	} {
		golden(t, name, text(t, c.get(t, path)))
	}
}

func TestPagesWorkBeforeAnythingIsKnown(t *testing.T) {
	c := newCity(t, nil)
	for _, path := range []string{"/", "/line/blue", "/station/40900", "/pipeline"} {
		res := c.get(t, path)
		if body := text(t, res); res.StatusCode != http.StatusOK || !strings.Contains(body, "not known yet") {
			t.Errorf("%s: %d %.200s", path, res.StatusCode, body)
		}
	}
}

func TestFirstPageHasEveryLineStationAndTrain(t *testing.T) {
	c := newCity(t, nil).fill(t)
	page := text(t, c.get(t, "/"))
	for _, l := range c.cfg.Network.Lines {
		if !strings.Contains(page, `id="line-`+l.ID+`"`) {
			t.Errorf("no section for %s", l.ID)
		}
		for _, id := range l.Stations {
			if !strings.Contains(page, fmt.Sprintf(`href="/station/%d"`, id)) {
				t.Errorf("station %d is missing", id)
			}
		}
	}
	for _, want := range []string{"RD100", "Howard-bound", "1,234,567", "49°F, partly cloudy", "Friday 31 October 2025, 07:30:20", "Delays", `<div id="app">`} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	if res := c.get(t, "/", "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "gzip" || text(t, res) != page {
		t.Error("the page differs when compressed")
	}
}

func TestFault52HostileNamesStayText(t *testing.T) {
	c := newCity(t, nil).fill(t)
	for _, path := range []string{"/", "/line/red", "/station/49999", "/pipeline", "/api/v1/stations", "/api/v1/stations/49999", "/api/v1/lines/red"} {
		body := text(t, c.get(t, path))
		if strings.Contains(body, "<img") || strings.Contains(body, "<b>zone") || strings.Contains(body, "</script>\u202e") {
			t.Errorf("%s has a hostile name as markup", path)
		}
		if strings.HasPrefix(path, "/api") || path == "/pipeline" || strings.Contains(body, "&lt;img src=x onerror=alert(1)&gt;") {
			continue
		}
		t.Errorf("%s lacks the name as text", path)
	}
	if strings.Contains(text(t, c.get(t, "/")), "<style") || strings.Contains(text(t, c.get(t, "/")), " style=") {
		t.Error("the page has inline style, which its own policy forbids")
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	c := newCity(t, nil).fill(t)
	want := map[string]string{
		"Content-Security-Policy":      contentPolicy,
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer", // two r's: browsers ignore the other
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	}
	for _, path := range []string{"/", "/line/red", "/api/v1/lines", "/api/v1/network", "/healthz", "/nothing", "/api/nothing", "/plain.css", "/metrics"} {
		res := c.get(t, path)
		res.Body.Close()
		for k, v := range want {
			if got := res.Header.Get(k); got != v {
				t.Errorf("%s: %s is %q, want %q", path, k, got, v)
			}
		}
		for _, k := range []string{"Access-Control-Allow-Origin", "Server", "X-Powered-By"} {
			if got := res.Header.Get(k); got != "" {
				t.Errorf("%s: %s is %q", path, k, got)
			}
		}
	}
	for _, bad := range []string{"unsafe-inline", "unsafe-eval", "*", "http:"} {
		if strings.Contains(contentPolicy, bad) {
			t.Errorf("policy allows %s", bad)
		}
	}
}

func TestStatusOfAddressesAndMethods(t *testing.T) {
	c := newCity(t, nil).fill(t)
	for _, x := range []struct {
		method, path string
		code         int
		kind         string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8"},
		{"HEAD", "/", 200, "text/html; charset=utf-8"},
		{"POST", "/", 405, "text/plain; charset=utf-8"},
		{"GET", "/line/mauve", 404, "text/html; charset=utf-8"},
		{"GET", "/station/abc", 404, "text/html; charset=utf-8"},
		{"GET", "/station/99999999999", 404, "text/html; charset=utf-8"},
		{"GET", "/train/RD100", 200, "text/html; charset=utf-8"},
		{"GET", "/api/v1/lines", 200, "application/json"},
		{"DELETE", "/api/v1/lines", 405, "application/json"},
		{"PUT", "/api/v1/clock", 405, "application/json"},
		{"GET", "/api/v1/lines/mauve", 404, "application/json"},
		{"GET", "/api/v1/stations/0", 404, "application/json"},
		{"GET", "/api/v1/trains/" + strings.Repeat("x", 500), 404, "application/json"},
		{"GET", "/api/", 404, "application/json"},
		{"GET", "/api/v2/lines", 404, "application/json"},
		{"GET", "/api/v1/topics/arrivals/records?limit=5", 200, "application/json"},
		{"GET", "/api/v1/topics/arrivals/records?limit=0", 400, "application/json"},
		{"GET", "/api/v1/topics/arrivals/records?offset=x", 400, "application/json"},
		{"GET", "/api/v1/topics/other/records", 404, "application/json"},
		{"GET", "/api/v1/topics/broken/records", 503, "application/json"},
		{"GET", "/api/v1/openapi.json", 200, "application/json"},
		{"GET", "/" + strings.Repeat("x", 3000), 414, "text/plain; charset=utf-8"},
		{"GET", "/api/v1/lines?" + strings.Repeat("x", 3000), 414, "application/json"},
		{"OPTIONS", "/api/v1/clock", 405, "application/json"},
		{"GET", "/index.html", 404, "text/html; charset=utf-8"},
		{"GET", "/debug/pprof/", 404, "text/html; charset=utf-8"},
	} {
		res := c.do(t, x.method, x.path, "")
		body := text(t, res)
		if res.StatusCode != x.code || res.Header.Get("Content-Type") != x.kind {
			t.Errorf("%s %.40s: %d %s, want %d %s", x.method, x.path, res.StatusCode, res.Header.Get("Content-Type"), x.code, x.kind)
		}
		if x.kind == "application/json" && x.method != "HEAD" && !json.Valid([]byte(body)) {
			t.Errorf("%s %.40s: no JSON: %s", x.method, x.path, body)
		}
		if x.code == 405 && res.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", x.method, x.path)
		}
		if strings.Contains(body, "secret detail") {
			t.Errorf("%s shows the inside of an error: %s", x.path, body)
		}
	}
}

func TestFault51PathTraversalFindsNothing(t *testing.T) {
	dist := fstest.MapFS{
		".vite/manifest.json": {Data: []byte(`{}`)}, "assets/a-1.js": {Data: []byte("1")}, "index.html": {Data: []byte("<p>")},
	}
	c := newCity(t, func(cfg *Config) { cfg.Dist = dist })
	if res := c.get(t, "/assets/a-1.js"); res.StatusCode != 200 || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
		t.Fatalf("asset: %d %s", res.StatusCode, res.Header.Get("Cache-Control"))
	}
	for _, path := range []string{
		"/assets/../web.go", "/assets/%2e%2e/web.go", "/assets/..%2fweb.go", "/assets/..%5cweb.go", "/assets/%00", "/assets/a-1.js%00",
		"/.vite/manifest.json", "/assets/", "/assets", "/assets/.", "//etc/passwd", "/static/plain.css", "/assets/a-1.js/",
	} {
		res := c.get(t, path)
		res.Body.Close()
		if res.StatusCode == 200 {
			t.Errorf("%s: 200", path)
		}
	}
}

func TestFault49OtherHostsAreMisdirected(t *testing.T) {
	c := newCity(t, func(cfg *Config) { cfg.Hosts = []string{"ell.example"} })
	for host, code := range map[string]int{
		"127.0.0.1:8888": 200, "localhost:8888": 200, "ell.example": 200, "evil.test": 421, "evil.test:8888": 421, "": 421,
	} {
		res := c.get(t, "/healthz", "Host: "+host)
		res.Body.Close()
		if res.StatusCode != code {
			t.Errorf("Host %q: %d, want %d", host, res.StatusCode, code)
		}
	}
}

func TestFault48OnlyOurOwnPagesSetTheClockOrReadTheStream(t *testing.T) {
	c := newCity(t, nil).fill(t)
	for name, x := range map[string]struct {
		headers []string
		ok      bool
	}{
		"no browser":          {nil, true},
		"same origin":         {[]string{"Origin: http://127.0.0.1:8888", "Sec-Fetch-Site: same-origin"}, true},
		"origin alone":        {[]string{"Origin: http://127.0.0.1:8888"}, true},
		"another site":        {[]string{"Origin: http://evil.test", "Sec-Fetch-Site: cross-site"}, false},
		"another port":        {[]string{"Origin: http://127.0.0.1:9999", "Sec-Fetch-Site: same-site"}, false},
		"another, old":        {[]string{"Origin: http://evil.test"}, false},
		"null origin":         {[]string{"Origin: null"}, false},
		"null, sandboxed":     {[]string{"Origin: null", "Sec-Fetch-Site: cross-site"}, false},
		"site without origin": {[]string{"Sec-Fetch-Site: cross-site"}, false},
	} {
		post := c.do(t, http.MethodPost, "/api/v1/clock", `{"speed":60}`, append(x.headers, "Content-Type: application/json")...)
		if want := map[bool]int{true: 202, false: 403}[x.ok]; post.StatusCode != want {
			t.Errorf("%s: clock %d, want %d: %s", name, post.StatusCode, want, text(t, post))
		}
		stream := c.get(t, "/api/v1/stream", x.headers...) // the hub does not run here: 503 is past the guard
		if want := map[bool]int{true: 503, false: 403}[x.ok]; stream.StatusCode != want {
			t.Errorf("%s: stream %d, want %d", name, stream.StatusCode, want)
		}
	}
}

func TestClockTakesOnlyWhatItShould(t *testing.T) {
	c := newCity(t, nil)
	for name, x := range map[string]struct {
		body, kind string
		code       int
	}{
		"speed and pause":       {`{"speed":60,"paused":false}`, "application/json", 202},
		"charset given":         {`{"speed":0.1}`, "application/json; charset=utf-8", 202},
		"pause alone":           {`{"paused":true}`, "application/json", 202},
		"fastest":               {`{"speed":7200}`, "application/json", 202},
		"too fast":              {`{"speed":7200.1}`, "application/json", 400},
		"too slow":              {`{"speed":0.09}`, "application/json", 400},
		"backwards":             {`{"speed":-1}`, "application/json", 400},
		"huge":                  {`{"speed":1e999}`, "application/json", 400},
		"not a number":          {`{"speed":"60"}`, "application/json", 400},
		"NaN":                   {`{"speed":NaN}`, "application/json", 400},
		"nothing":               {``, "application/json", 400},
		"empty object":          {`{}`, "application/json", 400},
		"nulls":                 {`{"speed":null}`, "application/json", 400},
		"another key":           {`{"speed":1,"sped":2}`, "application/json", 400},
		"more behind":           {`{"speed":1}{"speed":2}`, "application/json", 400},
		"a list":                {`[1]`, "application/json", 400},
		"a form":                {`speed=1`, "application/x-www-form-urlencoded", 415},
		"no type":               {`{"speed":1}`, "", 415},
		"text, as forms can do": {`{"speed":1}`, "text/plain", 415},
		"too large":             {`{"speed":1,` + strings.Repeat(" ", 5000) + `"paused":true}`, "application/json", 413},
	} {
		res := c.do(t, http.MethodPost, "/api/v1/clock", x.body, "Content-Type: "+x.kind)
		if body := text(t, res); res.StatusCode != x.code {
			t.Errorf("%s: %d, want %d: %s", name, res.StatusCode, x.code, body)
		}
	}
	if len(c.commands) != 4 {
		t.Errorf("%d commands were sent, want 4: %+v", len(c.commands), c.commands)
	}
	for _, cmd := range c.commands {
		if cmd.ID == "" || cmd.IssuedAt == 0 {
			t.Errorf("command without id or time: %+v", cmd)
		}
	}
	c.fail = errors.New("broker is away")
	if res := c.do(t, http.MethodPost, "/api/v1/clock", `{"speed":1}`, "Content-Type: application/json"); res.StatusCode != 503 || strings.Contains(text(t, res), "broker") {
		t.Errorf("city away: %d", res.StatusCode)
	}
	off := newCity(t, func(cfg *Config) { cfg.Control = nil })
	if res := off.do(t, http.MethodPost, "/api/v1/clock", `{"speed":1}`, "Content-Type: application/json"); res.StatusCode != 403 {
		t.Errorf("control is off: %d", res.StatusCode)
	}
}

func TestReadiness(t *testing.T) {
	c := newCity(t, nil)
	c.waiting = []string{"the registry is away"}
	res := c.get(t, "/readyz")
	if body := text(t, res); res.StatusCode != 503 || !strings.Contains(body, "registry is away") || !strings.Contains(body, "nothing published") {
		t.Errorf("not ready: %d %s", res.StatusCode, body)
	}
	if res := c.get(t, "/healthz"); res.StatusCode != 200 {
		t.Errorf("healthz %d", res.StatusCode)
	}
	c.waiting = nil
	c.fill(t)
	if res := c.get(t, "/readyz"); res.StatusCode != 200 {
		t.Errorf("ready: %d %s", res.StatusCode, text(t, res))
	}
	c.draining.Store(true)
	if res := c.get(t, "/readyz"); res.StatusCode != 503 {
		t.Errorf("stopping: %d", res.StatusCode)
	}
}

func TestNetworkHasATagAndIsCompressed(t *testing.T) {
	c := newCity(t, nil)
	res := c.get(t, "/api/v1/network", "Accept-Encoding: gzip")
	size := res.ContentLength
	body, tag := text(t, res), res.Header.Get("ETag")
	strong, weak := strings.CutPrefix(tag, "W/")
	if !weak || strong == "" || !json.Valid([]byte(body)) || size > 30_000 {
		t.Errorf("tag %q, %d bytes", tag, size)
	}
	t.Logf("network: %d bytes, %d compressed", len(body), size)
	for header, code := range map[string]int{tag: 304, strong: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200} {
		res := c.get(t, "/api/v1/network", "If-None-Match: "+header)
		res.Body.Close()
		if res.StatusCode != code {
			t.Errorf("If-None-Match %s: %d, want %d", header, res.StatusCode, code)
		}
	}
}

func TestPageBringsTheAppThatTheManifestNames(t *testing.T) {
	manifest := `{"src/main.ts":{"file":"assets/main-abc.js","isEntry":true,"css":["assets/main-def.css"],"imports":["_both.js","_lib.js"]},
		"_lib.js":{"file":"assets/lib-1.js"},"_both.js":{"file":"assets/both-3.js","imports":["_lib.js","src/main.ts"]},"src/views/Line.svelte":{"file":"assets/Line-2.js","isDynamicEntry":true}}`
	dist := fstest.MapFS{"dist/.vite/manifest.json": {Data: []byte(manifest)}}
	for _, f := range []string{"main-abc.js", "main-def.css", "lib-1.js", "both-3.js", "Line-2.js"} {
		dist["dist/assets/"+f] = &fstest.MapFile{Data: []byte("/* " + f + " */")}
	}
	c := newCity(t, func(cfg *Config) { cfg.Dist = dist }).fill(t)
	page := text(t, c.get(t, "/"))
	for _, want := range []string{
		`<link rel="stylesheet" href="/assets/main-def.css">`, `<script type="module" src="/assets/main-abc.js"></script>`, `<link rel="modulepreload" href="/assets/lib-1.js">`,
	} {
		if n := strings.Count(page, want); n != 1 {
			t.Errorf("page has %s %d times", want, n)
		}
	}
	if strings.Contains(page, "Line-2.js") {
		t.Error("page brings a view that is loaded when visited")
	}
	delete(dist, "dist/assets/main-abc.js")
	if _, err := loadAssets(dist, cta.Chicago()); err == nil || !strings.Contains(err.Error(), "main-abc.js") {
		t.Errorf("a manifest that names a file that is not there: %v", err)
	}
	if _, err := loadAssets(fstest.MapFS{".vite/manifest.json": {Data: []byte("{")}}, cta.Chicago()); err == nil {
		t.Error("a torn manifest is no error")
	}
}

var _ fs.FS = fstest.MapFS{}

func TestFault58MetricsHaveBoundedLabels(t *testing.T) {
	c := newCity(t, nil).fill(t)
	series := func() int {
		return strings.Count(text(t, c.get(t, "/metrics")), "\nell_http_requests_total{")
	}
	ask := func(n int) {
		for i := range n {
			for _, p := range []string{"/train/X%d", "/line/x%d", "/api/v1/stations/%d", "/x%d", "/a/b/c%d", "/api/v1/topics/t%d/records", "/assets/%d.js"} {
				c.get(t, fmt.Sprintf(p, i)).Body.Close()
			}
		}
	}
	ask(3)
	series() // asking is counted too
	before := series()
	ask(300)
	if after := series(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	metrics := text(t, c.get(t, "/metrics"))
	for _, want := range []string{"ell_viewers 0", "ell_board_trains 3", "ell_ready 1", "ell_city_time_seconds 1.7619138e+09"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
}

func TestOpenAPIDescribesEveryAddress(t *testing.T) {
	c := newCity(t, nil)
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal([]byte(text(t, c.get(t, "/api/v1/openapi.json"))), &doc); err != nil {
		t.Fatal(err)
	}
	for _, r := range c.table() {
		if !strings.HasPrefix(r.path, "/api/") {
			continue
		}
		if doc.Paths[r.path][strings.ToLower(r.method)] == nil {
			t.Errorf("%s %s is not described", r.method, r.path)
		}
		delete(doc.Paths[r.path], strings.ToLower(r.method))
		if len(doc.Paths[r.path]) == 0 {
			delete(doc.Paths, r.path)
		}
	}
	for path := range doc.Paths {
		t.Errorf("%s is described but not there", path)
	}
}

func TestFault40APanicIsA500(t *testing.T) {
	c := newCity(t, func(cfg *Config) { cfg.System = func() any { panic("boom") } })
	res := c.get(t, "/api/v1/system")
	if body := text(t, res); res.StatusCode != 500 || strings.Contains(body, "boom") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func FuzzRequests(f *testing.F) {
	c := newCity(f, nil).fill(f)
	for _, s := range []string{"/", "/line/red", "/station/40900?x=1", "/api/v1/topics/arrivals/records?partition=-1&offset=5&time=6&limit=7&filter=%zz", "/%2e%2e/", "/api/v1/trains/%00"} {
		f.Add(s, "{}")
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:8888/"+strings.TrimPrefix(path, "/"), strings.NewReader(body))
		if err != nil {
			return
		}
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, r)
		if w.Code == 500 {
			t.Fatalf("%q: %s", path, w.Body.String())
		}
	})
}

// watch opens the stream and reads up to the snapshot. A hub that has not begun
// yet answers that it is starting; then it asks again, as a viewer would.
func watch(t *testing.T, addr string) (net.Conn, string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
		_ = conn.SetReadDeadline(end)
		buf, got := make([]byte, 64<<10), ""
		for !strings.Contains(got, "event: snapshot") && !strings.HasPrefix(got, "HTTP/1.1 503") {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("%v after %q", err, got)
			}
			got += string(buf[:n])
		}
		if strings.Contains(got, "event: snapshot") {
			return conn, got
		}
		conn.Close()
		time.Sleep(10 * time.Millisecond) // the hub begins in another goroutine of this test
	}
}

func TestServerRunsAndStops(t *testing.T) {
	c := newCity(t, nil).fill(t)
	cfg := c.cfg
	cfg.Registry = nil
	cfg.Addr = "127.0.0.1:0"
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Config{
		Addr: s.Addr().String(), Network: cfg.Network, Board: cfg.Board, Hub: cfg.Hub, Logger: cfg.Logger,
	}); err == nil || !strings.Contains(err.Error(), "--http-addr") {
		t.Errorf("a busy port gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hubDone, done := make(chan error, 1), make(chan error, 1)
	go func() { hubDone <- cfg.Hub.Run(ctx) }()
	go func() { done <- s.Run(ctx) }()
	if err := cfg.Hub.Publish(1, []byte(`{}`), cfg.Board.Snapshot()); err != nil {
		t.Fatal(err)
	}
	conn, got := watch(t, s.Addr().String())
	defer conn.Close()
	began := time.Now()
	cancel()
	if err := errors.Join(<-done, <-hubDone); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	rest, _ := io.ReadAll(conn)
	if !strings.Contains(got+string(rest), "event: bye") {
		t.Error("the viewer was not told")
	}
}
