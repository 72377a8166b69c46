package connect_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

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
	all      int    // of them, those of tasks that run too
	fixed    int    // restarts after which the task runs; 0: never
	refuse   string // the fault of each configuration; "": none
	refused  int    // how often
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
		if f.refuse != "" {
			f.refused++
			no(400, "Connector configuration is invalid and contains the following 1 error(s):\nError while validating connector config: "+f.refuse+
				"\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`")
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
		if r.URL.Query().Get("onlyFailed") == "false" {
			f.all++
		}
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

func TestStatusSaysInWordsWhyATaskFailed(t *testing.T) {
	f := &fakeConnect{state: "FAILED", trace: "org.apache.kafka.connect.errors.ConnectException: oops\n\tat a.b(C.java:1)\n\tat a.b(C.java:2)\nCaused by: java.net.ConnectException: Connection refused\n\tat x\n\t... 9 more\n"}
	s, err := newClient(t, f).Status(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	reason, failed := s.Failed()
	want := connect.Reason{
		Words: "the workers have no connection to PostgreSQL: it is away, starts or stops",
		Said:  "java.net.ConnectException: Connection refused", Waits: true,
	}
	if s.Running() || !failed || reason != want {
		t.Errorf("running %v, failed %v, %+v", s.Running(), failed, reason)
	}
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
