package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"ell/internal/board"
	"ell/internal/cta"
	"ell/internal/event"
)

//go:embed templates
var templateFiles embed.FS

// pages renders pages on the server.
type pages struct {
	s         *Server
	templates map[string]*template.Template

	mu       sync.Mutex
	home     []byte // the system page as last rendered
	homeSeq  uint64
	homeTime time.Time
}

func newPages(s *Server) (*pages, error) {
	p := &pages{s: s, templates: make(map[string]*template.Template)}
	for _, name := range []string{"system", "line", "station", "train", "pipeline", "fail"} {
		files := []string{"templates/layout.html", "templates/" + name + ".html"}
		if name == "line" { // shares the table of stations
			files = []string{"templates/layout.html", "templates/system.html", "templates/line.html"}
		}
		t, err := template.New("layout.html").ParseFS(templateFiles, files...)
		if err != nil {
			return nil, fmt.Errorf("read page %s: %w", name, err)
		}
		p.templates[name] = t
	}
	return p, nil
}

// view is what every page has, and the part that one kind of page adds.
type view struct {
	Title, Heading           string
	Styles, Preload, Scripts []string
	ClockKnown, Paused       bool
	Clock, ClockISO          string
	Speed                    string
	Weather                  string
	Temperature              int
	Stale                    string

	TrainCount int
	Entries    int64
	Lines      []lineView
	Line       *lineView
	Station    *stationView
	Train      *trainView
	Pipeline   *pipelineView
	Message    string
}

func (p *pages) view(snap *board.Snapshot, heading string) view {
	a := p.s.assets
	v := view{Title: heading + " · Ell", Heading: heading, Styles: a.styles, Preload: a.preload, Scripts: a.scripts}
	now := p.s.cfg.Now().UnixMilli()
	if snap.HasClock {
		city := time.UnixMilli(cityNow(snap, now)).In(cta.Location())
		v.ClockKnown, v.Paused = true, snap.Clock.Paused
		v.Clock, v.ClockISO = city.Format("Monday 2 January 2006, 15:04:05"), city.Format(time.RFC3339)
		v.Speed = strings.TrimSuffix(fmt.Sprintf("%.4g", snap.Clock.Speed), ".0")
		if age := now - snap.Clock.WallTime; age > silence && !snap.Clock.Paused {
			v.Stale = span(age / 1000)
		}
	}
	if w := snap.Weather; w != nil {
		v.Weather, v.Temperature = strings.ReplaceAll(w.Status, "_", " "), int(w.Temperature+0.5)
	}
	return v
}

// page adapts a function that names a template and its view.
func (s *Server) page(f func(*http.Request) (string, view, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			body, err := s.pages.cachedHome(r, f)
			if err != nil {
				s.pageError(w, r, err)
				return
			}
			s.send(w, r, "text/html; charset=utf-8", body)
			return
		}
		body, err := s.pages.make(r, f)
		if err != nil {
			s.pageError(w, r, err)
			return
		}
		s.send(w, r, "text/html; charset=utf-8", body)
	})
}

func (s *Server) pageError(w http.ResponseWriter, r *http.Request, err error) {
	if f, ok := errors.AsType[*failure](err); ok {
		s.pages.fail(w, r, f.code, "Sorry: "+f.reason+".")
		return
	}
	s.cfg.Logger.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "err", err)
	writeError(w, r, http.StatusInternalServerError, "internal error")
}

func (p *pages) make(r *http.Request, f func(*http.Request) (string, view, error)) ([]byte, error) {
	name, v, err := f(r)
	if err != nil {
		return nil, err
	}
	return p.render(name, v)
}

func (p *pages) render(name string, v view) ([]byte, error) {
	var b bytes.Buffer
	if err := p.templates[name].Execute(&b, v); err != nil {
		return nil, fmt.Errorf("render page %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// homeAge is how long a rendered system page is good, so that a crowd costs one page.
const homeAge = 250 * time.Millisecond

func (p *pages) cachedHome(r *http.Request, f func(*http.Request) (string, view, error)) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, seq := p.s.cfg.Now(), p.s.cfg.Board.Snapshot().Seq
	if p.home != nil && (seq == p.homeSeq || seq > 0 && p.homeSeq > 0) && now.Sub(p.homeTime) < homeAge {
		return p.home, nil
	}
	body, err := p.make(r, f)
	if err != nil {
		return nil, err
	}
	p.home, p.homeSeq, p.homeTime = body, seq, now
	return body, nil
}

// fail answers with a page that says what is wrong.
func (p *pages) fail(w http.ResponseWriter, r *http.Request, code int, message string) {
	v := p.view(p.s.cfg.Board.Snapshot(), http.StatusText(code))
	v.Message = message
	v.Scripts, v.Preload = nil, nil // the app has nothing to take over here
	body, err := p.render("fail", v)
	if err != nil {
		p.s.cfg.Logger.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "err", err)
		writeError(w, r, http.StatusInternalServerError, "internal error")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs nothing more
	}
}

func (p *pages) system(*http.Request) (string, view, error) {
	snap := p.s.cfg.Board.Snapshot()
	v := p.view(snap, "Where the trains are")
	v.Lines = p.lineViews(snap, "")
	for _, t := range snap.Trains {
		if t.Status == event.InService {
			v.TrainCount++
		}
	}
	v.Entries = snap.Rate.EntriesMin
	return "system", v, nil
}

func (p *pages) line(r *http.Request) (string, view, error) {
	id := r.PathValue("id")
	snap := p.s.cfg.Board.Snapshot()
	views := p.lineViews(snap, id)
	if len(views) == 0 {
		return "", view{}, notFound("line", id)
	}
	v := p.view(snap, views[0].Name)
	v.Line = &views[0]
	return "line", v, nil
}

type pipelineView struct {
	Pipeline
	Known bool
}

func (p *pages) pipeline(*http.Request) (string, view, error) {
	v := p.view(p.s.cfg.Board.Snapshot(), "The pipeline")
	v.Pipeline = &pipelineView{}
	if p.s.cfg.Pipeline != nil {
		v.Pipeline.Known, v.Pipeline.Pipeline = true, p.s.cfg.Pipeline()
	}
	return "pipeline", v, nil
}
