// Package registry is the client of a schema registry with Confluent's API: it
// registers this project's schemas before the first record, refuses incompatible
// ones in words that say what to do, and fetches writers' schemas by id, which
// it keeps for ever, since ids never change their meaning.
//
// It does not encode or decode records; package event does.
package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"golang.org/x/sync/errgroup"

	"ell/internal/access"
	"ell/internal/event"
)

const (
	defaultTimeout = 10 * time.Second
	maxAnswer      = 1 << 20  // bytes of one answer
	maxSchemas     = 10_000   // kept by id,
	maxKept        = 16 << 20 // and at most this many bytes of them
	// unknownFor is how long the registry is not asked again for an id it did
	// not know: long enough that a flood of bad records does not become a flood of
	// requests, short enough for a schema that is only late.
	unknownFor = 500 * time.Millisecond
	registrars = 8 // requests at once while registering
)

// Config says how to reach a registry.
type Config struct {
	Access  access.HTTP
	Timeout time.Duration // of one request; 0: 10 s
	// Transport sends requests instead of Access's own; tests use it.
	Transport http.RoundTripper
	Logger    *slog.Logger // nil: discard
}

// ErrRefused marks what no repetition mends: an incompatible schema, an answer
// that is none, missing rights.
var ErrRefused = errors.New("refused by the schema registry")

// ErrAway marks what may pass: the registry did not answer, or not sensibly.
var ErrAway = errors.New("the schema registry cannot be asked")

// Client talks to one registry. It is safe for concurrent use.
type Client struct {
	cl  *sr.Client
	url string
	log *slog.Logger

	timeout time.Duration
	mu      sync.Mutex // guards all below
	texts   map[event.ID]string
	kept    int                    // bytes in texts
	unknown map[event.ID]time.Time // when the registry last said no
	ids     map[registered]event.ID
}

// registered is what was registered: a digest, since a text may be large and
// come from a stranger.
type registered [sha256.Size]byte

func digest(subject, text string) registered {
	return sha256.Sum256([]byte(subject + "\x00" + text))
}

// New checks c. It contacts nobody.
func New(c Config) (*Client, error) {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	hc, err := c.Access.Client(c.Timeout)
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	if c.Transport != nil {
		hc.Transport = c.Transport
	}
	hc.Transport = bounded{hc.Transport}
	at := strings.TrimSuffix(c.Access.URL, "/")
	cl, err := sr.NewClient(sr.URLs(at), sr.UserAgent("ell"), sr.HTTPClient(hc))
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	return &Client{
		cl: cl, url: at, log: c.Logger, timeout: c.Timeout,
		texts: map[event.ID]string{}, unknown: map[event.ID]time.Time{}, ids: map[registered]event.ID{},
	}, nil
}

// bounded cuts answers that are too long, and refuses what is no JSON.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{&limited{r: resp.Body, left: maxAnswer}, resp.Body}
	return resp, nil
}

// limited reads at most left bytes and then fails, where io.LimitReader would
// pass a cut answer for a whole one.
type limited struct {
	r    io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("%w: the answer is longer than %d bytes", ErrRefused, maxAnswer)
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// RegisterAll registers schemas and returns their ids by name. New
// subjects ask for full compatibility with all earlier versions, since
// readers start from the beginning of the log. It does not repeat what failed:
// Transient says whether that could help.
func (c *Client) RegisterAll(ctx context.Context, all []event.Schema) (event.IDs, error) {
	got := make([]event.ID, len(all))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(registrars)
	for i, s := range all {
		g.Go(func() (err error) {
			got[i], err = c.register(gctx, s.Subject, s.Text, true)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	ids := make(event.IDs, len(all))
	for i, s := range all {
		ids[s.Name] = got[i]
	}
	return ids, nil
}

// Register registers a schema under a subject and returns its id.
func (c *Client) Register(ctx context.Context, subject, schema string) (event.ID, error) {
	return c.register(ctx, subject, schema, false)
}

func (c *Client) register(ctx context.Context, subject, text string, strict bool) (event.ID, error) {
	key := digest(subject, text)
	c.mu.Lock()
	id, ok := c.ids[key]
	c.mu.Unlock()
	if ok {
		return id, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	fresh := strict && c.isNew(ctx, subject, text)
	id, err := c.cl.RegisterSchema(ctx, subject, sr.Schema{Schema: text}, -1, -1)
	for range collisions {
		if !conflict(err) {
			break
		}
		id, err = c.cl.RegisterSchema(ctx, subject, sr.Schema{Schema: text}, -1, -1)
	}
	if err != nil {
		return 0, c.explain("register "+subject, err)
	}
	if id < 0 || id > 1<<31-1 {
		return 0, fmt.Errorf("%w: register %s: %s answers with the id %d", ErrRefused, subject, c.url, id)
	}
	if strict {
		c.protect(ctx, subject, fresh)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ids) < maxSchemas {
		c.ids[key] = id
	}
	return id, nil
}

// Schema returns the text of a schema. What the registry does not know is an
// error that wraps event.ErrUnknownSchema; other errors say that it could not be asked.
func (c *Client) Schema(id event.ID) (string, error) {
	c.mu.Lock()
	text, ok := c.texts[id]
	asked, no := c.unknown[id]
	c.mu.Unlock()
	switch {
	case ok:
		return text, nil
	case no && time.Since(asked) < unknownFor:
		return "", fmt.Errorf("%w: %d", event.ErrUnknownSchema, id)
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	schema, err := c.cl.SchemaByID(ctx, id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := errors.AsType[*sr.ResponseError](err); ok && r.StatusCode == http.StatusNotFound && r.ErrorCode == 40403 {
		return "", c.refuse(id, "")
	}
	if err != nil {
		return "", c.explain(fmt.Sprintf("fetch schema %d", id), err)
	}
	if schema.Type != sr.TypeAvro {
		return "", c.refuse(id, " is no Avro schema but "+schema.Type.String())
	}
	delete(c.unknown, id)
	if len(c.texts) >= maxSchemas || c.kept+len(schema.Schema) > maxKept {
		clear(c.texts)
		c.kept = 0
	}
	c.texts[id] = schema.Schema
	c.kept += len(schema.Schema)
	return schema.Schema, nil
}

// refuse remembers for a while that the registry has no schema of this id that
// could be used. The caller holds the mutex.
func (c *Client) refuse(id event.ID, why string) error {
	if len(c.unknown) >= maxSchemas {
		clear(c.unknown)
	}
	c.unknown[id] = time.Now()
	return fmt.Errorf("%w: %d%s", event.ErrUnknownSchema, id, why)
}

// collisions is how often a conflict is looked at again. Some registries answer
// one also to the later of two clients that register the same schema at the
// same moment, as the roles of a pipeline do when they are started together.
const collisions = 2

func conflict(err error) bool {
	r, ok := errors.AsType[*sr.ResponseError](err)
	return ok && r.StatusCode == http.StatusConflict
}

// explain says what went wrong with doing, and marks what no repetition mends.
func (c *Client) explain(doing string, err error) error {
	r, ok := errors.AsType[*sr.ResponseError](err)
	switch {
	case !ok:
		if errors.Is(err, ErrRefused) {
			return fmt.Errorf("%s at %s: %w", doing, c.url, err)
		}
		if access.Distrusted(err) {
			return fmt.Errorf("%w: %s at %s: %w", ErrRefused, doing, c.url, access.Explain(err, "--registry"))
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the address, which is told already
		}
		return fmt.Errorf("%w: %s at %s: %w", ErrAway, doing, c.url, err)
	case conflict(err):
		return fmt.Errorf("%w: %s at %s: the schema does not go with an earlier version of it: %.300s; keep fields and give new ones a default, or use another --prefix",
			ErrRefused, doing, c.url, r.Message)
	case r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %s at %s: %d: set --registry-user and its password, or a token", ErrRefused, doing, c.url, r.StatusCode)
	case r.StatusCode >= 300 && r.StatusCode < 400:
		return fmt.Errorf("%w: %s at %s: it redirects, which is not followed: name the final address with --registry", ErrRefused, doing, c.url)
	case r.StatusCode == http.StatusNotFound && r.ErrorCode == 0:
		return fmt.Errorf("%w: %s at %s: 404: is this a schema registry?", ErrRefused, doing, c.url)
	case r.StatusCode >= 400 && r.StatusCode < 500 && r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusRequestTimeout:
		return fmt.Errorf("%w: %s at %s: %d: %.300s", ErrRefused, doing, c.url, r.StatusCode, r.Message)
	default:
		return fmt.Errorf("%w: %s at %s: %d: %.300s", ErrAway, doing, c.url, r.StatusCode, r.Message)
	}
}

// Transient says whether repeating what failed with err may help.
func Transient(err error) bool {
	return err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, context.Canceled)
}
