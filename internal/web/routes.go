package web

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"ell/internal/access"
)

// route is one address of the server. Anything else is not found.
type route struct {
	method  string
	path    string
	handler http.Handler
}

// table has every address of the server.
func (s *Server) table() []route {
	return []route{
		{http.MethodGet, "/{$}", s.page(s.pages.system)},
		{http.MethodGet, "/line/{id}", s.page(s.pages.line)},
		{http.MethodGet, "/station/{id}", s.page(s.pages.station)},
		{http.MethodGet, "/train/{id}", s.page(s.pages.train)},
		{http.MethodGet, "/pipeline", s.page(s.pages.pipeline)},
		{http.MethodGet, "/pipeline/{rest...}", s.page(s.pages.pipeline)},
		{http.MethodGet, "/healthz", http.HandlerFunc(s.healthz)},
		{http.MethodGet, "/readyz", http.HandlerFunc(s.readyz)},
		{http.MethodGet, "/metrics", s.metrics.handler},
		{http.MethodGet, "/api/v1/network", s.network},
		{http.MethodGet, "/api/v1/stream", sameOriginOnly(s.cfg.Hub)},
		{http.MethodGet, "/api/v1/lines", s.api(s.lines)},
		{http.MethodGet, "/api/v1/lines/{id}", s.api(s.line)},
		{http.MethodGet, "/api/v1/stations", s.api(s.stations)},
		{http.MethodGet, "/api/v1/stations/{id}", s.api(s.station)},
		{http.MethodGet, "/api/v1/trains", s.api(s.trains)},
		{http.MethodGet, "/api/v1/trains/{id}", s.api(s.train)},
		{http.MethodGet, "/api/v1/trains/{id}/records", s.api(s.trainRecords)},
		{http.MethodGet, "/api/v1/weather", s.api(s.weather)},
		{http.MethodGet, "/api/v1/entries", s.api(s.entries)},
		{http.MethodGet, "/api/v1/clock", s.api(s.clock)},
		{http.MethodPost, "/api/v1/clock", s.postClock()},
		{http.MethodGet, "/api/v1/system", s.api(s.system)},
		{http.MethodGet, "/api/v1/pipeline", s.api(s.pipeline)},
		{http.MethodGet, "/api/v1/topics", s.api(s.topics)},
		{http.MethodGet, "/api/v1/topics/{topic}", s.api(s.topic)},
		{http.MethodGet, "/api/v1/topics/{topic}/records", s.api(s.records)},
		{http.MethodGet, "/api/v1/openapi.json", s.assets.static("openapi.json")},
		{http.MethodGet, "/assets/{name...}", http.HandlerFunc(s.file)},
		{http.MethodGet, "/{name}", http.HandlerFunc(s.file)},
	}
}

// routes builds the handler: the table of addresses inside the chain of guards.
func (s *Server) routes(hosts access.Hosts) http.Handler {
	mux := http.NewServeMux()
	paths := make(map[string]methods)
	for _, r := range s.table() {
		if paths[r.path] == nil {
			paths[r.path] = make(methods)
		}
		paths[r.path][r.method] = r.handler
		if r.method == http.MethodGet {
			paths[r.path][http.MethodHead] = r.handler
		}
	}
	for path, m := range paths {
		mux.Handle(path, s.metrics.count(path, m))
	}
	mux.Handle("/", s.metrics.count("other", http.HandlerFunc(s.notFound)))
	// The first guard is the outermost.
	return chain(mux, recovered(s.cfg.Logger), headers, forHosts(hosts), bounded)
}

func chain(h http.Handler, guards ...func(http.Handler) http.Handler) http.Handler {
	for _, guard := range slices.Backward(guards) {
		h = guard(h)
	}
	return h
}

// methods are the handlers of one address; another method is answered with what
// there is.
type methods map[string]http.Handler

// ServeHTTP hands the request to its method's handler.
func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h, ok := m[r.Method]; ok {
		h.ServeHTTP(w, r)
		return
	}
	allow := strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	w.Header().Set("Allow", allow)
	writeError(w, r, http.StatusMethodNotAllowed, "method "+clipMethod(r.Method)+" is not allowed here, use "+allow)
}

func clipMethod(m string) string {
	if len(m) > 16 {
		return m[:16]
	}
	return m
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	if isAPI(r) {
		writeError(w, r, http.StatusNotFound, "there is nothing at this address; /api/v1/openapi.json lists what there is")
		return
	}
	s.pages.fail(w, r, http.StatusNotFound, "There is nothing at this address.")
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }
