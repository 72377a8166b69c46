package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"ell/internal/access"
)

// registry is the library's in-memory schema registry made durable and strict:
// each change that succeeded is journalled before it is answered, and played
// again at the next start; and compatibility, which the library does not
// check, is checked here (see compat.go).
type registry struct {
	fake    http.Handler
	log     *slog.Logger
	srv     *http.Server
	url     string
	done    chan struct{}
	failed  chan error // the first failure, once; capacity 1
	journal *os.File

	mu     sync.Mutex // one change at a time; guards below
	broken bool
}

const (
	registryBody  = 1 << 20 // bytes of a request
	registryMedia = "application/vnd.schemaregistry.v1+json"
)

// change is one journalled request.
type change struct {
	Method string          `json:"method"`
	Path   string          `json:"path"` // with query
	Body   json.RawMessage `json:"body,omitempty"`
	Answer json.RawMessage `json:"answer"` // what it was answered with; ids must come out the same
}

func openRegistry(path, addr string, hosts []string, clean bool, log *slog.Logger) (_ *registry, err error) {
	r := &registry{
		fake:   srfake.NewRegistry(srfake.WithGlobalCompat(sr.CompatFullTransitive)).Handler(),
		log:    log,
		done:   make(chan struct{}),
		failed: make(chan error, 1),
	}
	if err := r.replay(path, clean); err != nil {
		return nil, err
	}
	ln, err := listen(addr, "schema registry", "--registry-addr")
	if err != nil {
		return nil, err
	}
	if r.journal, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open registry journal: %w", err), quietClose(ln))
	}
	r.url = "http://" + ln.Addr().String()
	r.srv = &http.Server{
		Handler:           access.NewHosts(ln.Addr(), hosts).Guard(http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(r, registryBody))),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go r.serve(ln) // close waits for done
	return r, nil
}

func (r *registry) serve(ln net.Listener) {
	defer close(r.done)
	if err := r.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		r.failed <- fmt.Errorf("schema registry: %w", err)
	}
}

// close answers what is under way and stops.
func (r *registry) close(ctx context.Context) error {
	err := r.srv.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		// A client that only opened a connection holds up a shutdown for
		// seconds. What was answered is in the journal: the rest may be cut off.
		err = r.srv.Close()
	}
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(err, r.journal.Close())
}

// replay plays the journal. A torn tail is cut off after a kill only.
func (r *registry) replay(path string, clean bool) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("read registry journal: %w", err)
	}
	entries, valid := frames(raw)
	if valid < len(raw) {
		if clean || frameFollows(raw[valid:]) {
			return &DamageError{Path: path, Offset: int64(valid), Reason: "entry with a wrong checksum"}
		}
		if err := os.Truncate(path, int64(valid)); err != nil {
			return fmt.Errorf("mend registry journal: %w", err)
		}
	}
	for i, e := range entries {
		var c change
		if err := json.Unmarshal(e, &c); err != nil {
			return &DamageError{Path: path, Offset: -1, Reason: fmt.Sprintf("entry %d: %v", i, err)}
		}
		status, answer := r.ask(c.Method, c.Path, c.Body)
		if status/100 != 2 || !bytes.Equal(bytes.TrimSpace(answer), c.Answer) {
			return &DamageError{Path: path, Offset: -1, Reason: fmt.Sprintf("entry %d (%s %s) was answered %s, now %s", i, c.Method, c.Path, c.Answer, answer)}
		}
	}
	return nil
}

// ask passes a request to the library and returns its answer.
func (r *registry) ask(method, path string, body []byte) (status int, answer []byte) {
	req, err := http.NewRequestWithContext(context.Background(), method, path, bytes.NewReader(body))
	if err != nil {
		return http.StatusBadRequest, []byte(err.Error())
	}
	w := httptest.NewRecorder()
	r.fake.ServeHTTP(w, req)
	return w.Code, w.Body.Bytes()
}

// ServeHTTP answers one request.
func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		r.fake.ServeHTTP(w, anySubject(req))
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			refuse(w, http.StatusRequestEntityTooLarge, http.StatusRequestEntityTooLarge, "request is larger than 1 MiB")
			return
		}
		refuse(w, http.StatusBadRequest, http.StatusBadRequest, "request could not be read")
		return
	}
	status, answer := r.handle(req.Method, req.URL.RequestURI(), req.URL.EscapedPath(), body)
	w.Header().Set("Content-Type", registryMedia)
	w.WriteHeader(status)
	_, _ = w.Write(answer) // the client may have gone
}

// anySubject takes the parameter "subject" off a look-up by id. In Confluent's
// registry it only chooses the context to look in, and clients send what they
// take for the subject of a topic; the library would look among that subject's schemas alone.
func anySubject(req *http.Request) *http.Request {
	if !strings.HasPrefix(req.URL.Path, "/schemas/ids/") || !req.URL.Query().Has("subject") {
		return req
	}
	req = req.Clone(req.Context())
	q := req.URL.Query()
	q.Del("subject")
	req.URL.RawQuery = q.Encode()
	return req
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", registryMedia)
	w.WriteHeader(status)
	_, _ = w.Write(refusal(code, message)) // the client may have gone
}

// refusal is an error as the registry API words it.
func refusal(code int, message string) []byte {
	b, err := json.Marshal(struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}{code, message})
	if err != nil {
		return nil // cannot happen: a number and a string
	}
	return b
}

// handle answers a request that is not a plain read.
func (r *registry) handle(method, uri, path string, body []byte) (status int, answer []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	parts := strings.Split(strings.Trim(path, "/"), "/")
	posts := method == http.MethodPost
	switch {
	case posts && len(parts) == 3 && parts[0] == "subjects" && parts[2] == "versions":
		return r.register(uri, parts[1], body)
	case posts && len(parts) == 2 && parts[0] == "subjects":
		clean, status, refused := schemaBody(body)
		if refused != nil {
			return status, refused
		}
		return r.ask(method, uri, clean) // a look-up
	case posts && len(parts) >= 4 && parts[0] == "compatibility" && parts[1] == "subjects" && parts[3] == "versions":
		return r.compatibility(parts, strings.Contains(uri, "verbose=true"), body)
	}
	return r.change(method, uri, body)
}

// register is POST /subjects/{subject}/versions; subject is still escaped.
func (r *registry) register(uri, subject string, body []byte) (status int, answer []byte) {
	clean, status, refused := schemaBody(body)
	if refused != nil {
		return status, refused
	}
	// Known already: the same answer, nothing to write down.
	if status, found := r.ask(http.MethodPost, "/subjects/"+subject, clean); status == http.StatusOK {
		var known struct {
			ID int `json:"id"`
		}
		if err := json.Unmarshal(found, &known); err == nil && known.ID > 0 {
			return http.StatusOK, fmt.Appendf(nil, `{"id":%d}`, known.ID)
		}
	}
	var s sr.Schema
	if err := json.Unmarshal(clean, &s); err != nil {
		return http.StatusUnprocessableEntity, refusal(codeInvalidSchema, err.Error())
	}
	faults, err := r.incompatible(subject, s, r.versions(subject), r.level(subject))
	if err != nil {
		return http.StatusUnprocessableEntity, refusal(codeInvalidSchema, err.Error())
	}
	if len(faults) > 0 {
		return http.StatusConflict, refusal(http.StatusConflict,
			fmt.Sprintf("Schema being registered is incompatible with an earlier schema for subject %q: %s", unescape(subject), strings.Join(faults, "; ")))
	}
	return r.change(http.MethodPost, uri, clean)
}

// change passes a change on and journals it if it succeeded.
func (r *registry) change(method, uri string, body []byte) (status int, answer []byte) {
	if r.broken {
		return http.StatusInternalServerError, refusal(codeStore, "the registry cannot write to its data folder")
	}
	if len(body) > 0 && !json.Valid(body) {
		return http.StatusUnprocessableEntity, refusal(codeInvalidSchema, "request is not JSON")
	}
	status, answer = r.ask(method, uri, body)
	if status/100 != 2 || method == http.MethodPost && !strings.HasSuffix(strings.SplitN(uri, "?", 2)[0], "/versions") {
		return status, answer
	}
	c := change{Method: method, Path: uri, Body: body, Answer: bytes.TrimSpace(answer)}
	if len(c.Answer) == 0 {
		return status, answer // deletes of contexts: nothing to remember
	}
	entry, err := json.Marshal(c)
	if err == nil {
		_, err = r.journal.Write(appendFrame(nil, entry))
	}
	if err == nil {
		err = r.journal.Sync()
	}
	if err != nil {
		// The library has the change and the disk may not: only a new start
		// can tell, so nothing is promised any more.
		r.broken = true
		r.log.Error("the schema registry could not write its journal", "err", err)
		r.failed <- fmt.Errorf("schema registry could not write its journal: %w: free space or mend the disk, then start again", err)
		return http.StatusInternalServerError, refusal(codeStore, "the registry cannot write to its data folder")
	}
	return status, answer
}
