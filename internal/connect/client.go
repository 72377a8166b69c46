package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ell/internal/access"
)

// ClientConfig says how to reach a Kafka Connect cluster.
type ClientConfig struct {
	Access  access.HTTP   // of any worker
	Timeout time.Duration // of one request; 0: 10 s
	Logger  *slog.Logger  // nil: discard
}

// Client speaks Kafka Connect's REST API.
type Client struct {
	at   access.HTTP
	http *http.Client
	log  *slog.Logger
}

// maxAnswer bounds what is read of an answer, whatever it claims to be.
const maxAnswer = 1 << 20

// Error is an answer of the Connect cluster that says no.
type Error struct {
	Status int
	Reason Reason
}

func (e *Error) Error() string {
	return fmt.Sprintf("kafka connect answered %d: %s", e.Status, e.Reason)
}

// NewClient checks cfg and contacts nobody.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	hc, err := cfg.Access.Client(cfg.Timeout)
	if err != nil {
		return nil, fmt.Errorf("kafka connect: %w", err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Client{at: cfg.Access, http: hc, log: log}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do sends a request and reads the JSON answer into out (nil: any).
func (c *Client) do(ctx context.Context, method string, path []string, query string, body, out any) error {
	u := c.at.Join(escape(path)...)
	if query != "" {
		u += "?" + query
	}
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u, payload)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask kafka connect: %w", access.Explain(err, "--connect"))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("ask kafka connect: %w", err)
	}
	if len(answer) > maxAnswer {
		return &Error{Status: resp.StatusCode, Reason: Reason{Said: "an answer of more than 1 MiB"}}
	}
	if resp.StatusCode/100 != 2 {
		return &Error{Status: resp.StatusCode, Reason: message(answer)}
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return &Error{Status: resp.StatusCode, Reason: Reason{Words: "an answer that is not Kafka Connect's: does --connect name a worker?", Said: Condense(string(answer))}}
	}
	return nil
}

func escape(path []string) []string {
	out := make([]string, len(path))
	for i, p := range path {
		out[i] = url.PathEscape(p)
	}
	return out
}

// message takes the text out of an error answer.
func message(answer []byte) Reason {
	var e struct {
		Message string `json:"message"`
	}
	switch {
	case len(answer) == 0:
		return Reason{Said: "no reason given; a worker that starts answers so"}
	case json.Unmarshal(answer, &e) != nil || e.Message == "":
		return Explain(string(answer))
	}
	// Of a configuration that is refused, the faults begin on the second line.
	if _, faults, ok := strings.Cut(e.Message, "error(s):\n"); ok {
		e.Message = faults
	}
	return Explain(e.Message)
}

// Put makes the connector's configuration config, creating the connector if
// there is none. If the configuration is that already, nothing is sent, so
// that its tasks are not restarted for nothing; changed reports which it was.
func (c *Client) Put(ctx context.Context, name string, config map[string]string) (changed bool, err error) {
	want := maps.Clone(config)
	want["name"] = name
	var have map[string]string
	err = c.do(ctx, http.MethodGet, []string{"connectors", name, "config"}, "", nil, &have)
	var no *Error
	switch {
	case err == nil && maps.Equal(have, want):
		return false, nil
	case err == nil, errors.As(err, &no) && no.Status == http.StatusNotFound:
	default:
		return false, fmt.Errorf("read connector %s: %w", name, err)
	}
	if err := c.do(ctx, http.MethodPut, []string{"connectors", name, "config"}, "", want, nil); err != nil {
		return false, fmt.Errorf("configure connector %s: %w", name, err)
	}
	return true, nil
}

// States of a connector and of its tasks.
const (
	Running    = "RUNNING"
	Failed     = "FAILED"
	Paused     = "PAUSED"
	Unassigned = "UNASSIGNED"
	Restarting = "RESTARTING"
	Stopped    = "STOPPED"
)

// Status is how a connector is.
type Status struct {
	Name      string
	Connector TaskStatus
	Tasks     []TaskStatus
}

// TaskStatus is how the connector itself or one task of it is.
type TaskStatus struct {
	ID     int
	State  string
	Worker string
	Reason Reason // why it failed; zero unless it did
}

// Running reports whether the connector and all of its tasks (at least one) run.
func (s Status) Running() bool {
	if s.Connector.State != Running || len(s.Tasks) == 0 {
		return false
	}
	for _, t := range s.Tasks {
		if t.State != Running {
			return false
		}
	}
	return true
}

// Failed says whether the connector or a task of it failed, and why the first did.
func (s Status) Failed() (Reason, bool) {
	for _, t := range append([]TaskStatus{s.Connector}, s.Tasks...) {
		if t.State == Failed {
			return t.Reason, true
		}
	}
	return Reason{}, false
}

// doing is what those do that do not run.
func (s Status) doing() string {
	if s.Connector.State != Running {
		return s.Connector.State
	}
	for _, t := range s.Tasks {
		if t.State != Running {
			return fmt.Sprintf("running, but its task %d is %s", t.ID, t.State)
		}
	}
	return "running without a task"
}

// Status asks how the connector is.
func (c *Client) Status(ctx context.Context, name string) (Status, error) {
	type state struct {
		ID       int    `json:"id"`
		State    string `json:"state"`
		WorkerID string `json:"worker_id"`
		Trace    string `json:"trace"`
	}
	var answer struct {
		Name      string  `json:"name"`
		Connector state   `json:"connector"`
		Tasks     []state `json:"tasks"`
	}
	if err := c.do(ctx, http.MethodGet, []string{"connectors", name, "status"}, "", nil, &answer); err != nil {
		return Status{}, fmt.Errorf("ask for connector %s: %w", name, err)
	}
	condensed := func(s state) TaskStatus {
		t := TaskStatus{ID: s.ID, State: s.State, Worker: s.WorkerID}
		if s.State == Failed {
			t.Reason = Explain(s.Trace)
		}
		return t
	}
	out := Status{Name: answer.Name, Connector: condensed(answer.Connector)}
	for _, t := range answer.Tasks {
		out.Tasks = append(out.Tasks, condensed(t))
	}
	return out, nil
}

// Restart restarts the connector and those of its tasks that failed, or all of them.
func (c *Client) Restart(ctx context.Context, name string, all bool) error {
	query := fmt.Sprintf("includeTasks=true&onlyFailed=%t", !all)
	if err := c.do(ctx, http.MethodPost, []string{"connectors", name, "restart"}, query, nil, nil); err != nil {
		return fmt.Errorf("restart connector %s: %w", name, err)
	}
	return nil
}
