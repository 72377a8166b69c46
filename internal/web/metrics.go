package web

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the server's own; labels come from the table of addresses and
// from status classes, never from data.
type metrics struct {
	handler  http.Handler
	requests *prometheus.CounterVec
}

func newMetrics(s *Server) (*metrics, error) {
	reg := s.cfg.Registry
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ell_http_requests_total", Help: "Requests answered, by address pattern and status class.",
		}, []string{"path", "class"}),
		handler: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}),
	}
	board, hub := s.cfg.Board, s.cfg.Hub
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	counter := func(name, help string, f func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(f()) })
	}
	for _, c := range []prometheus.Collector{
		m.requests,
		gauge("ell_viewers", "Viewers of the stream connected now.", func() float64 { return float64(hub.Stats().Viewers) }),
		counter("ell_stream_frames_total", "Frames published to viewers.", func() uint64 { return hub.Stats().Frames }),
		counter("ell_stream_deliveries_total", "Frames and snapshots handed to viewers.", func() uint64 { return hub.Stats().Deliveries }),
		counter("ell_stream_bytes_total", "Bytes handed to viewers.", func() uint64 { return hub.Stats().Bytes }),
		counter("ell_stream_skips_total", "Times a slow viewer was skipped forward.", func() uint64 { return hub.Stats().Skipped }),
		counter("ell_stream_stalled_total", "Viewers dropped because they took nothing.", func() uint64 { return hub.Stats().Stalled }),
		counter("ell_stream_refused_total", "Viewers refused for a limit.", func() uint64 { return hub.Stats().Refused }),
		counter("ell_board_records_total", "Records the board applied.", func() uint64 { return board.Stats().Records }),
		counter("ell_board_poison_total", "Records the board could not read.", func() uint64 { return board.Stats().Poison }),
		counter("ell_board_dropped_total", "Records the board refused for a bound.", func() uint64 { return board.Stats().Dropped }),
		gauge("ell_board_trains", "Trains on the board.", func() float64 { return float64(len(board.Snapshot().Trains)) }),
		gauge("ell_city_time_seconds", "The city's time, seconds since the epoch.", func() float64 {
			return float64(board.Snapshot().Clock.CityTime) / 1000
		}),
		gauge("ell_board_age_seconds", "Wall time since the newest record on the board was appended.", func() float64 {
			snap := board.Snapshot()
			if snap.Appended == 0 {
				return 0
			}
			return float64(s.cfg.Now().UnixMilli()-snap.Appended) / 1000
		}),
		gauge("ell_ready", "1 if the server is ready.", func() float64 {
			if len(s.reasons()) == 0 {
				return 1
			}
			return 0
		}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// count counts the answers of a handler under an address pattern.
func (m *metrics) count(pattern string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sw := &statusWriter{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(sw, r)
		m.requests.WithLabelValues(pattern, strconv.Itoa(sw.code/100)+"xx").Inc()
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	code int
}

// WriteHeader notes the status.
func (w *statusWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
