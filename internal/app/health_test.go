package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthAsksTheRoleThatRunsHere(t *testing.T) {
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	defer srv.Close()
	addr := strings.TrimPrefix(srv.URL, "http://")
	_, port, _ := strings.Cut(addr, ":")
	for name, o := range map[string]Options{
		"a role":                        {MetricsAddr: addr, HTTPAddr: "127.0.0.1:1"},
		"the website":                   {HTTPAddr: addr},
		"a listener on every address":   {MetricsAddr: "0.0.0.0:" + port, HTTPAddr: "127.0.0.1:1"},
		"a listener without an address": {MetricsAddr: ":" + port, HTTPAddr: "127.0.0.1:1"},
	} {
		if err := Health(t.Context(), o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	status = http.StatusServiceUnavailable
	if err := Health(t.Context(), Options{HTTPAddr: addr}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a role that says no: %v", err)
	}
	srv.Close()
	if err := Health(t.Context(), Options{HTTPAddr: addr}); err == nil {
		t.Error("nobody there, and healthy")
	}
}
