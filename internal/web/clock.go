package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"ell/internal/board"
	"ell/internal/event"
)

type clockDoc struct {
	Known   bool    `json:"known"`
	City    int64   `json:"city"` // at wall
	Wall    int64   `json:"wall"`
	Now     int64   `json:"now"` // city time when this was sent
	Sent    int64   `json:"sent"`
	Speed   float64 `json:"speed"`
	Paused  bool    `json:"paused"`
	Control bool    `json:"control"`
	Seed    int64   `json:"seed"`
	Start   int64   `json:"start"`
}

func (s *Server) clock(*http.Request) (any, error) {
	snap := s.cfg.Board.Snapshot()
	c, now := snap.Clock, s.cfg.Now().UnixMilli()
	return clockDoc{
		Known: snap.HasClock, City: c.CityTime, Wall: c.WallTime, Now: cityNow(snap, now), Sent: now,
		Speed: c.Speed, Paused: c.Paused, Control: s.cfg.Control != nil, Seed: c.Seed, Start: c.Start,
	}, nil
}

// silence is how long, in ms of wall time, the clock is trusted to have gone on
// without news.
const silence = 10_000

// cityNow is the city's time at a wall time; it stands still when the log says
// nothing for a while.
func cityNow(snap *board.Snapshot, wall int64) int64 {
	c := snap.Clock
	if c.Paused || !snap.HasClock {
		return c.CityTime
	}
	since := min(max(wall-c.WallTime, 0), silence)
	return c.CityTime + int64(float64(since)*c.Speed)
}

// postClock sets speed and pause. Only pages of this server and clients that are
// no browser may, and only where the server was told to allow it.
func (s *Server) postClock() http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, r, http.StatusForbidden, "only pages of this server may set the clock")
	}))
	return guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.Control == nil {
			writeError(w, r, http.StatusForbidden, "setting the clock is off on this server; start it with --control on")
			return
		}
		cmd, err := clockCommand(r)
		if err == nil {
			err = s.sendCommand(r, &cmd)
		}
		if err != nil {
			s.apiError(w, r, err)
			return
		}
		// The city has the command when the log has it; that it obeyed shows on the stream.
		body, err := json.Marshal(map[string]any{"accepted": cmd.ID, "speed": cmd.Speed, "paused": cmd.Paused})
		if err != nil {
			s.apiError(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(append(body, '\n')) // a client that is gone needs nothing more
	}))
}

// clockCommand reads {"speed": 60, "paused": false}; either may be left out.
func clockCommand(r *http.Request) (event.Command, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return event.Command{}, &failure{http.StatusUnsupportedMediaType, "the body has to be application/json"}
	}
	var body struct {
		Speed  *float64 `json:"speed"`
		Paused *bool    `json:"paused"`
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(&body)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = errors.New("more follows the object")
		}
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return event.Command{}, &failure{http.StatusRequestEntityTooLarge, "the body is larger than 4096 bytes"}
	case err != nil:
		return event.Command{}, badRequest(`the body has to be like {"speed": 60, "paused": false}: %v`, err)
	case body.Speed == nil && body.Paused == nil:
		return event.Command{}, badRequest("speed or paused is required")
	case body.Speed != nil && !(*body.Speed >= event.MinSpeed && *body.Speed <= event.MaxSpeed):
		return event.Command{}, badRequest("speed has to be %g to %d", event.MinSpeed, event.MaxSpeed)
	}
	return event.Command{Speed: body.Speed, Paused: body.Paused}, nil
}

// sendCommand gives the command an id and hands it to the city.
func (s *Server) sendCommand(r *http.Request, cmd *event.Command) error {
	now := s.cfg.Now()
	cmd.IssuedAt = now.UnixMilli()
	cmd.ID = "web-" + strconv.FormatInt(now.UnixNano(), 36)
	if err := s.cfg.Control(r.Context(), *cmd); err != nil {
		s.cfg.Logger.WarnContext(r.Context(), "command not sent", "err", err)
		return &failure{http.StatusServiceUnavailable, "the city cannot be reached now, try again"}
	}
	return nil
}
