package connect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ell/internal/access"
	"ell/internal/connect"
)

// fakeConnect is a Connect worker with one connector.
type fakeConnect struct {
	mu       sync.Mutex
	config   map[string]string
	state    string // of its task
	trace    string
	down     int // answers of 503 before it works
	puts     int
	restarts int
	fixed    int // restarts after which the task runs; 0: never
}

func (f *fakeConnect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := func(status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	no := func(status int, text string) {
		answer(status, map[string]any{"error_code": status, "message": text})
	}
	if f.down > 0 {
		f.down--
		no(503, "starting")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /connectors/s/config":
		if f.config == nil {
			no(404, "Connector s not found")
			return
		}
		answer(200, f.config)
	case "PUT /connectors/s/config":
		var c map[string]string
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			no(500, err.Error())
			return
		}
		if c["connector.class"] == "nonsense" {
			no(400, "Connector configuration is invalid and contains the following 1 error(s):\nno class nonsense")
			return
		}
		f.puts++
		f.config = c
		answer(201, map[string]any{"name": "s", "config": c})
	case "GET /connectors/s/status":
		answer(200, map[string]any{
			"name":      "s",
			"connector": map[string]any{"state": "RUNNING", "worker_id": "w:8083"},
			"tasks":     []any{map[string]any{"id": 0, "state": f.state, "worker_id": "w:8083", "trace": f.trace}},
		})
	case "POST /connectors/s/restart":
		f.restarts++
		if f.fixed > 0 && f.restarts >= f.fixed {
			f.state = "RUNNING"
		}
		w.WriteHeader(202)
	default:
		no(404, "no such path")
	}
}

// inside gives the client a transport that calls h directly, so that it works
// on synctest's clock.
type inside struct{ h http.Handler }

func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	i.h.ServeHTTP(w, r)
	return w.Result(), nil
}

func newClient(t *testing.T, h http.Handler) *connect.Client {
	t.Helper()
	c, err := connect.NewClient(connect.ClientConfig{Access: access.HTTP{URL: "http://connect:8083"}})
	if err != nil {
		t.Fatal(err)
	}
	connect.SetTransport(c, inside{h})
	return c
}

func TestPutSendsAConfigurationOnlyWhenItDiffers(t *testing.T) {
	f := &fakeConnect{state: "RUNNING"}
	c := newClient(t, f)
	for i, want := range []bool{true, false} {
		changed, err := c.Put(t.Context(), "s", map[string]string{"tasks.max": "1"})
		if err != nil || changed != want {
			t.Errorf("Put %d: changed %v, %v; want %v", i, changed, err, want)
		}
	}
	if changed, err := c.Put(t.Context(), "s", map[string]string{"tasks.max": "2"}); !changed || err != nil || f.puts != 2 {
		t.Errorf("another configuration: changed %v, %v, %d puts", changed, err, f.puts)
	}
	if f.config["name"] != "s" {
		t.Errorf("configuration %v lacks its name", f.config)
	}
}

func TestStatusCondensesTheErrorOfAFailedTask(t *testing.T) {
	f := &fakeConnect{state: "FAILED", trace: "org.apache.kafka.connect.errors.ConnectException: oops\n\tat a.b(C.java:1)\n\tat a.b(C.java:2)\nCaused by: java.net.ConnectException: Connection refused\n\tat x\n\t... 9 more\n"}
	s, err := newClient(t, f).Status(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	want := "org.apache.kafka.connect.errors.ConnectException: oops (java.net.ConnectException: Connection refused)"
	if s.Running() || s.Failure() != want {
		t.Errorf("running %v, failure %q", s.Running(), s.Failure())
	}
}

func TestCondense(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing is said so":                 {"\n\n", "no reason given"},
		"terminal codes and newlines go":     {"\x1b[31mred\x07\r\nat x", "[31mred"},
		"a long line is cut":                 {strings.Repeat("é", 1000), strings.Repeat("é", 300) + "…"},
		"a cause already named is not twice": {"boom: x\nCaused by: x", "boom: x"},
		"only the last cause counts":         {"a\nCaused by: b\nCaused by: c", "a (c)"},
		"stack lines are not the first line": {"at q\nreal", "real"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := connect.Condense(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func keep(t *testing.T, f *fakeConnect, config map[string]string, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return newClient(t, f).Keep(ctx, connect.Keep{Name: "s", Config: config})
}

func TestKeepWaitsForAClusterThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "RUNNING", down: 3}
		if err := keep(t, f, map[string]string{"a": "b"}, time.Minute); err != nil || f.puts != 1 || f.restarts != 0 {
			t.Errorf("%v, %d puts, %d restarts", err, f.puts, f.restarts)
		}
	})
}

func TestKeepRestartsAFailedTaskLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "FAILED", trace: "x"}
		if err := keep(t, f, map[string]string{"a": "b"}, time.Hour); err != nil {
			t.Fatal(err)
		}
		// 5 s doubling to 5 min: 6 restarts in the first minutes, then 12 an hour.
		if f.restarts < 10 || f.restarts > 20 {
			t.Errorf("%d restarts in an hour", f.restarts)
		}
	})
}

func TestKeepIsContentOnceTheTaskRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "FAILED", trace: "x", fixed: 2}
		if err := keep(t, f, map[string]string{"a": "b"}, time.Hour); err != nil || f.restarts != 2 {
			t.Errorf("%v, %d restarts, want 2", err, f.restarts)
		}
	})
}

func TestKeepPutsARemovedConfigurationBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeConnect{state: "RUNNING"}
		time.AfterFunc(20*time.Second, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.config = nil
		})
		want := map[string]string{"a": "b", "name": "s"}
		if err := keep(t, f, map[string]string{"a": "b"}, time.Minute); err != nil || f.puts != 2 || !maps.Equal(f.config, want) {
			t.Errorf("%v, %d puts, configuration %v", err, f.puts, f.config)
		}
	})
}

func TestKeepEndsWithARefusedConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := keep(t, &fakeConnect{}, map[string]string{"connector.class": "nonsense"}, time.Hour)
		if err == nil || !strings.Contains(err.Error(), "configuration is invalid") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAWorkerThatAnswersRubbishIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"HTML": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>proxy</html>") }, "not Kafka Connect's"},
		"a redirect elsewhere is not followed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://169.254.169.254/")
			w.WriteHeader(302)
		}, "302"},
		"an endless answer is cut": {func(w http.ResponseWriter, _ *http.Request) {
			for range 2000 {
				_, _ = fmt.Fprint(w, strings.Repeat("x", 1024))
			}
		}, "more than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.h)
			defer srv.Close()
			client, err := connect.NewClient(connect.ClientConfig{Access: access.HTTP{URL: srv.URL}})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.Status(t.Context(), "s"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestNewClientChecksTheURL(t *testing.T) {
	for _, u := range []string{"", "connect:8083", "file:///etc/passwd", "http://u:p@h:1", "http://h:1?x=y", "://"} {
		if _, err := connect.NewClient(connect.ClientConfig{Access: access.HTTP{URL: u}}); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
}

func TestDebeziumRoutesBothTablesAndKeepsNoDefaultPassword(t *testing.T) {
	d := connect.Debezium{Host: "db", Database: "cta", User: "u", Password: "${file:/x:p}", Stations: "org.chicago.cta.stations", StationLines: "org.chicago.cta.station_lines"}
	c, err := d.Config()
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{
		"table.include.list":              "public.stations,public.station_lines",
		"transforms.stations.regex":       `^ell\.public\.stations$`,
		"transforms.stations.replacement": "org.chicago.cta.stations",
		"transforms.lines.regex":          `^ell\.public\.station_lines$`,
		"database.password":               "${file:/x:p}",
		"database.port":                   "5432",
	} {
		if c[k] != want {
			t.Errorf("%s is %q, want %q", k, c[k], want)
		}
	}
	d.Host = ""
	if _, err := d.Config(); err == nil {
		t.Error("no host was taken")
	}
}
