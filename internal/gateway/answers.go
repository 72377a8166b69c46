package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"ell/internal/access"
	"ell/internal/kafka"
)

// The API's media types, and the form of its answers.
const (
	mediaAvro   = "application/vnd.kafka.avro.v2+json"
	mediaJSON   = "application/vnd.kafka.json.v2+json"
	mediaBinary = "application/vnd.kafka.binary.v2+json"
	mediaAnswer = "application/vnd.kafka.v2+json"
)

// apiError is an answer that says no, with Confluent's code.
type apiError struct {
	status  int
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

func (e *apiError) Error() string { return e.Message }

func unprocessable(code int, format string, args ...any) error {
	return &apiError{http.StatusUnprocessableEntity, code, fmt.Sprintf(format, args...)}
}

// Confluent's codes.
const (
	codeUnauthenticated   = 40101
	codeUnauthorized      = 40301
	codeTopicNotFound     = 40401
	codePartitionNotFound = 40402
	codeRegistry          = 40801
	codeKeySchema         = 42201
	codeValueSchema       = 42202
	codeConversion        = 42203
	codeSchema            = 42205
	codeKafka             = 50002
	codeKafkaRetriable    = 50003
)

// answer runs f, after a look at what the client accepts, and turns its error
// into an answer.
func (g *Gateway) answer(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		err := error(&apiError{http.StatusNotAcceptable, http.StatusNotAcceptable, "HTTP 406 Not Acceptable: this answers in " + mediaAnswer})
		switch {
		case !g.hosts.Include(r.Host):
			err = &apiError{http.StatusMisdirectedRequest, http.StatusMisdirectedRequest, access.WrongHost}
		case !g.cfg.Protect.Allows(r):
			w.Header().Set("WWW-Authenticate", `Basic realm="ell REST Proxy"`)
			err = &apiError{http.StatusUnauthorized, codeUnauthenticated, "Authentication required: this asks for a user and a password"}
		case acceptable(r.Header.Values("Accept")):
			err = f(w, r)
		}
		if err == nil {
			return
		}
		e, ok := errors.AsType[*apiError](err)
		if ok {
			e = &apiError{e.status, e.Code, err.Error()} // with what was wrapped around it
		} else {
			level := slog.LevelWarn
			if r.Context().Err() != nil {
				level = slog.LevelDebug // the client went away, as all do at a stop, and tries again
			}
			g.cfg.Logger.Log(r.Context(), level, "request failed", "method", r.Method, "path", r.URL.Path, "err", err)
			e = &apiError{http.StatusInternalServerError, codeKafka, "Kafka error: " + err.Error()}
			if kafka.Classify(err) == kafka.Transient {
				e.Code = codeKafkaRetriable
			}
		}
		w.Header().Set("Content-Type", mediaAnswer)
		w.WriteHeader(e.status)
		json.NewEncoder(w).Encode(e) //nolint:errcheck,errchkjson // a client that is gone needs no answer
	})
}

func acceptable(values []string) bool {
	if len(values) == 0 {
		return true
	}
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil || params["q"] == "0" {
			continue
		}
		switch media {
		case "*/*", "application/*", "application/json", "application/vnd.kafka+json", mediaAnswer:
			return true
		}
	}
	return false
}

func write(w http.ResponseWriter, v any) error { return writeStatus(w, http.StatusOK, v) }

func writeStatus(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaAnswer)
	w.WriteHeader(status)
	_, err = w.Write(append(body, '\n'))
	if err != nil {
		return nil //nolint:nilerr // a client that is gone needs no answer
	}
	return nil
}

func (g *Gateway) topics(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), g.cfg.Timeout)
	defer cancel()
	all, err := g.adm.ListTopics(ctx)
	if err != nil {
		return err
	}
	return write(w, append([]string{}, all.Names()...))
}

type (
	topicDoc struct {
		Name       string            `json:"name"`
		Configs    map[string]string `json:"configs"`
		Partitions []partitionDoc    `json:"partitions"`
	}
	partitionDoc struct {
		Partition int32        `json:"partition"`
		Leader    int32        `json:"leader"`
		Replicas  []replicaDoc `json:"replicas"`
	}
	replicaDoc struct {
		Broker int32 `json:"broker"`
		Leader bool  `json:"leader"`
		InSync bool  `json:"in_sync"`
	}
)

// describe asks for one topic.
func (g *Gateway) describe(ctx context.Context, name string) (kadm.TopicDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	all, err := g.adm.ListTopicsWithInternal(ctx, name)
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	d, ok := all[name]
	if !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition) || errors.Is(d.Err, kerr.InvalidTopicException) {
		return d, &apiError{http.StatusNotFound, codeTopicNotFound, "Topic not found."}
	}
	return d, d.Err
}

func documents(d kadm.TopicDetail) []partitionDoc {
	out := []partitionDoc{}
	for _, p := range d.Partitions.Sorted() {
		doc := partitionDoc{Partition: p.Partition, Leader: p.Leader, Replicas: []replicaDoc{}}
		for _, b := range p.Replicas {
			in := false
			for _, i := range p.ISR {
				in = in || i == b
			}
			doc.Replicas = append(doc.Replicas, replicaDoc{b, b == p.Leader, in})
		}
		out = append(out, doc)
	}
	return out
}

func (g *Gateway) topic(w http.ResponseWriter, r *http.Request) error {
	d, err := g.describe(r.Context(), r.PathValue("topic"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.cfg.Timeout)
	defer cancel()
	doc := topicDoc{Name: d.Topic, Configs: map[string]string{}, Partitions: documents(d)}
	configs, err := g.adm.DescribeTopicConfigs(ctx, d.Topic)
	if err != nil {
		return err
	}
	for _, rc := range configs {
		for _, c := range rc.Configs {
			if !c.Sensitive {
				doc.Configs[c.Key] = c.MaybeValue()
			}
		}
	}
	return write(w, doc)
}

func (g *Gateway) partitions(w http.ResponseWriter, r *http.Request) error {
	d, err := g.describe(r.Context(), r.PathValue("topic"))
	if err != nil {
		return err
	}
	return write(w, documents(d))
}

func (g *Gateway) partition(w http.ResponseWriter, r *http.Request) error {
	d, err := g.describe(r.Context(), r.PathValue("topic"))
	if err != nil {
		return err
	}
	n, err := partitionOf(r, d)
	if err != nil {
		return err
	}
	for _, p := range documents(d) {
		if p.Partition == n {
			return write(w, p)
		}
	}
	return errNoPartition()
}

func errNoPartition() error {
	return &apiError{http.StatusNotFound, codePartitionNotFound, "Partition not found."}
}

// partitionOf is the partition that the path names; -1: none.
func partitionOf(r *http.Request, d kadm.TopicDetail) (int32, error) {
	text := r.PathValue("partition")
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 || int(n) >= len(d.Partitions) {
		return 0, errNoPartition()
	}
	return int32(n), nil
}

func (g *Gateway) brokers(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), g.cfg.Timeout)
	defer cancel()
	meta, err := g.adm.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	return write(w, map[string][]int32{"brokers": append([]int32{}, meta.Brokers.NodeIDs()...)})
}
