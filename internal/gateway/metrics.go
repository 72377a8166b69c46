package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics count answers. Labels come from the table of addresses and from
// status codes, never from a request.
type metrics struct {
	answers *prometheus.CounterVec
	took    *prometheus.HistogramVec
	records prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (metrics, error) {
	m := metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ell_gateway_requests_total", Help: "Requests answered, by address pattern and status code.",
		}, []string{"path", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ell_gateway_request_seconds", Help: "Time to answer a request.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"path"}),
		records: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ell_gateway_records_total", Help: "Records that Kafka took.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	if err := errors.Join(reg.Register(m.answers), reg.Register(m.took), reg.Register(m.records)); err != nil {
		return m, fmt.Errorf("REST Proxy: register metrics: %w", err)
	}
	return m, nil
}

// count counts what a handler answers under its pattern, without the method.
func (m metrics) count(pattern string, next http.Handler) http.Handler {
	path := pattern[max(0, strings.Index(pattern, "/")):]
	l := prometheus.Labels{"path": path}
	return promhttp.InstrumentHandlerDuration(m.took.MustCurryWith(l), promhttp.InstrumentHandlerCounter(m.answers.MustCurryWith(l), next))
}
