package registry_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"ell/internal/access"
	"ell/internal/event"
	"ell/internal/registry"
)

func client(t *testing.T, url string) *registry.Client {
	t.Helper()
	c, err := registry.New(registry.Config{Access: access.HTTP{URL: url}, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSchemasComeBackByTheirIDsAndAreAskedForOnce(t *testing.T) {
	fake := srfake.New()
	t.Cleanup(fake.Close)
	var asked atomic.Int64
	count := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		fake.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(count.Close)
	c := client(t, count.URL)
	ids, err := c.RegisterAll(t.Context(), event.Schemas())
	if err != nil {
		t.Fatal(err)
	}
	again, err := client(t, count.URL).RegisterAll(t.Context(), event.Schemas())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range event.Schemas() {
		if ids[s.Name] != again[s.Name] {
			t.Errorf("%s: id %d, and %d the second time", s.Name, ids[s.Name], again[s.Name])
		}
		for range 3 {
			text, err := c.Schema(ids[s.Name])
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, strings.TrimPrefix(s.Name, "x")) {
				t.Errorf("%s: got %s", s.Name, text)
			}
		}
	}
	before := asked.Load()
	for _, id := range ids {
		if _, err := c.Schema(id); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load() - before; n != 0 {
		t.Errorf("%d requests for schemas that are known", n)
	}
}

func TestAnUnknownIDIsAskedForAgainOnlyAfterAWhile(t *testing.T) {
	fake := srfake.New()
	t.Cleanup(fake.Close)
	var asked atomic.Int64
	count := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		fake.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(count.Close)
	c := client(t, count.URL)
	for range 100 {
		if _, err := c.Schema(999); !errors.Is(err, event.ErrUnknownSchema) {
			t.Fatalf("got %v", err)
		}
	}
	if n := asked.Load(); n > 5 {
		t.Errorf("%d requests for an id that the registry does not have", n)
	}
}

func TestARegistryThatAnswersRubbishIsAnErrorThatSaysWhich(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	for name, c := range map[string]struct {
		answer    http.HandlerFunc
		transient bool
	}{
		"HTML":                 {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>hello</html>")) }, true},
		"another type":         {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"id":"seven"}`)) }, true},
		"an impossible id":     {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"id":-7}`)) }, false},
		"an internal error":    {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error_code":50001}`, 500) }, true},
		"not allowed":          {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error_code":40101}`, 401) }, false},
		"incompatible":         {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error_code":409,"message":"no"}`, 409) }, false},
		"a redirect elsewhere": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, false},
		"an answer without end": {func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}, false},
		"nothing at all": {func(http.ResponseWriter, *http.Request) { time.Sleep(2500 * time.Millisecond) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			t.Cleanup(s.Close)
			_, err := client(t, s.URL).RegisterAll(t.Context(), event.Schemas())
			if err == nil {
				t.Fatal("taken for good")
			}
			if !strings.Contains(err.Error(), s.URL) {
				t.Errorf("%v does not say which registry", err)
			}
			if errors.Is(err, registry.ErrAway) != c.transient {
				t.Errorf("away %v, want %v: %v", !c.transient, c.transient, err)
			}
			if registry.Transient(err) != c.transient {
				t.Errorf("transient %v, want %v: %v", !c.transient, c.transient, err)
			}
		})
	}
}

func TestPasswordsStayOutOfErrors(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, ok := r.BasicAuth(); !ok || user != "ell" || pass != "hunter2" {
			t.Error("not authenticated")
		}
		http.Error(w, `{"error_code":40101}`, 401)
	}))
	t.Cleanup(s.Close)
	c, err := registry.New(registry.Config{Access: access.HTTP{URL: s.URL, User: "ell", Password: "hunter2"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RegisterAll(t.Context(), event.Schemas()); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestARegistryThatIsAwayDoesNotMakeARecordBad(t *testing.T) {
	c := client(t, "http://127.0.0.1:1")
	if _, err := c.RegisterAll(t.Context(), event.Schemas()); !registry.Transient(err) {
		t.Errorf("%v", err)
	}
	if _, err := c.Schema(1); err == nil || errors.Is(err, event.ErrPoison) {
		t.Errorf("%v", err)
	}
}

func TestEverySubjectAsksForFullCompatibility(t *testing.T) {
	fake := srfake.New()
	t.Cleanup(fake.Close)
	if _, err := client(t, fake.URL()).RegisterAll(t.Context(), event.Schemas()); err != nil {
		t.Fatal(err)
	}
	direct, err := sr.NewClient(sr.URLs(fake.URL()))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range event.Schemas() {
		for _, got := range direct.Compatibility(t.Context(), s.Subject) {
			if got.Err != nil || got.Level != sr.CompatFullTransitive {
				t.Errorf("%s: %v, %v", s.Subject, got.Level, got.Err)
			}
		}
	}
}

func TestAURLThatIsNoneIsRefusedWithoutItsPassword(t *testing.T) {
	for _, u := range []string{"", "127.0.0.1:8081", "http://ell:hunter2@x", "ftp://ell:hunter2@x", "http://", "http://ell:hunter2@x y/", "http://ell:hunter2@x:port"} {
		if _, err := registry.New(registry.Config{Access: access.HTTP{URL: u}}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", u, err)
		}
	}
}

func TestASchemaThatComesLateIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late atomic.Bool
		c, err := registry.New(registry.Config{Access: access.HTTP{URL: "http://registry"}, Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			rec := httptest.NewRecorder()
			if late.Load() {
				rec.WriteString(`{"schema":"\"int\""}`)
			} else {
				rec.WriteHeader(404)
				rec.WriteString(`{"error_code":40403,"message":"Schema not found"}`)
			}
			return rec.Result(), nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Schema(7); !errors.Is(err, event.ErrUnknownSchema) {
			t.Fatalf("got %v", err)
		}
		late.Store(true)
		time.Sleep(5 * time.Second)
		if text, err := c.Schema(7); err != nil || text != `"int"` {
			t.Errorf("got %q, %v", text, err)
		}
	})
}

func TestASchemaOfAnotherLanguageIsNoneOfOurs(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"schema":"syntax = \"proto3\";","schemaType":"PROTOBUF"}`))
	}))
	t.Cleanup(s.Close)
	if _, err := client(t, s.URL).Schema(3); !errors.Is(err, event.ErrUnknownSchema) || !strings.Contains(err.Error(), "PROTOBUF") {
		t.Errorf("got %v", err)
	}
}

func TestManySchemasDoNotFillTheMemory(t *testing.T) {
	big := `{"schema":"` + strings.Repeat("x", 900<<10) + `"}`
	c, err := registry.New(registry.Config{Access: access.HTTP{URL: "http://registry"}, Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		rec.WriteString(big)
		return rec.Result(), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	for id := range 40 {
		if _, err := c.Schema(id); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 28<<20 {
		t.Errorf("%d MiB in use after 40 schemas of 900 KiB", m.HeapAlloc>>20)
	}
	runtime.KeepAlive(c)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTwoClientsMayRegisterTheSameSchemaAtTheSameMoment(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost:
			w.Write([]byte(`{}`))
		case asked.Add(1) == 1:
			http.Error(w, `{"error_code":409,"message":"An artifact with ID 'a' in group 'null' already exists."}`, http.StatusConflict)
		default:
			w.Write([]byte(`{"id":7}`))
		}
	}))
	t.Cleanup(s.Close)
	if id, err := client(t, s.URL).Register(t.Context(), "a", `"string"`); err != nil || id != 7 {
		t.Errorf("id %d, %v", id, err)
	}
}
