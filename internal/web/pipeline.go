package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"ell/internal/event"
)

// Pipeline is the system as it runs, for the pipeline view.
type Pipeline struct {
	Nodes       []PipelineNode `json:"nodes"`
	Edges       []PipelineEdge `json:"edges"`
	DeadLetters int64          `json:"dead_letters"`
	At          int64          `json:"at"` // wall time, ms
}

// PipelineNode is one part of the system.
type PipelineNode struct {
	ID     string  `json:"id"`
	Kind   string  `json:"kind"` // producer, topic, gateway, registry, source, processor, board, viewers
	Name   string  `json:"name"`
	State  string  `json:"state"`  // ok, waiting; of parts elsewhere also away, silent, unknown and elsewhere
	Detail string  `json:"detail"` // a sentence
	Rate   float64 `json:"rate"`   // records a second
}

// PipelineEdge is what flows from one part to another.
type PipelineEdge struct {
	From       string  `json:"from"`
	To         string  `json:"to"`
	Topic      string  `json:"topic"` // "" where no topic is between
	Unit       string  `json:"unit"`  // what is counted: records, frames, or offsets (transactions take some of their own)
	Count      int64   `json:"count"` // so far, since the parts or the topic began
	Rate       float64 `json:"rate"`  // a second, over the last seconds
	LagRecords int64   `json:"lag_records"`
	LagMS      int64   `json:"lag_ms"`
	Trend      float64 `json:"trend"` // records of lag gained a second; below 0: catching up
}

// Log reads topics for people. Implementations bound what they read and how long
// they take, and return ErrNoTopic for a topic that is not there.
type Log interface {
	Topics(ctx context.Context) ([]TopicInfo, error)
	Topic(ctx context.Context, name string) (TopicInfo, error)
	Records(ctx context.Context, q RecordQuery) (RecordPage, error)
}

// ErrNoTopic says that a topic, or a partition of it, does not exist.
var ErrNoTopic = errors.New("no such topic or partition")

// TopicInfo describes a topic.
type TopicInfo struct {
	Name       string            `json:"name"`
	Partitions []PartitionInfo   `json:"partitions"`
	Records    int64             `json:"records"` // offsets between the watermarks, of all partitions
	Config     map[string]string `json:"config,omitempty"`
}

// PartitionInfo has the watermarks of one partition.
type PartitionInfo struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start"`  // oldest offset
	End       int64 `json:"end"`    // the next offset
	Stable    int64 `json:"stable"` // end of what is committed
}

// RecordQuery asks for records of one topic.
type RecordQuery struct {
	Topic     string
	Partition int32 // -1: all
	Offset    int64 // first offset; -1: see Time; -2: the newest Limit records
	Time      int64 // first append time, wall ms; with Offset -1
	Limit     int   // 1 to MaxRecords
	Filter    string
}

// MaxRecords bounds a page of records.
const MaxRecords = 200

// RecordPage is some records, by partition and offset.
type RecordPage struct {
	Records []LogRecord `json:"records"`
	// Next has, by partition, the offset at which to go on.
	Next map[int32]int64 `json:"next"`
	// Scanned is how many records were looked at for the filter.
	Scanned int `json:"scanned"`
	// More says that the scan ended at its bound, not at the end of the topic.
	More bool `json:"more"`
}

// LogRecord is one record, decoded.
type LogRecord struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Appended  int64    `json:"appended"` // wall ms
	Key       Datum    `json:"key"`
	Value     Datum    `json:"value"`
	Headers   []Header `json:"headers"`
}

// Datum is a key or value in the form that suits it.
type Datum struct {
	// Format is avro, json, text, binary (base64) or null.
	Format   string          `json:"format"`
	SchemaID int             `json:"schema_id,omitempty"`
	Schema   string          `json:"schema,omitempty"` // its full name
	Size     int             `json:"size"`
	JSON     json.RawMessage `json:"json,omitempty"` // avro and json
	Text     string          `json:"text,omitempty"` // text, and base64 of binary
	Error    string          `json:"error,omitempty"`
	// Cut says that Text was shortened.
	Cut bool `json:"cut,omitempty"`
}

// Header is one header of a record.
type Header struct {
	Key   string `json:"key"`
	Value Datum  `json:"value"`
}

var errNoLog = &failure{http.StatusNotFound, "this server cannot look into topics"}

func (s *Server) pipeline(*http.Request) (any, error) {
	if s.cfg.Pipeline == nil {
		return nil, &failure{http.StatusNotFound, "this server does not know the pipeline"}
	}
	p := s.cfg.Pipeline()
	p.Nodes, p.Edges = nonNil(p.Nodes), nonNil(p.Edges)
	if p.At == 0 {
		p.At = s.cfg.Now().UnixMilli()
	}
	return p, nil
}

// logTimeout bounds one look into topics.
const logTimeout = 10 * time.Second

func (s *Server) topics(r *http.Request) (any, error) {
	if s.cfg.Log == nil {
		return nil, errNoLog
	}
	ctx, cancel := context.WithTimeout(r.Context(), logTimeout)
	defer cancel()
	list, err := s.cfg.Log.Topics(ctx)
	if err != nil {
		return nil, s.logFailure(r, err)
	}
	return map[string]any{"topics": nonNil(list)}, nil
}

func (s *Server) topic(r *http.Request) (any, error) {
	if s.cfg.Log == nil {
		return nil, errNoLog
	}
	ctx, cancel := context.WithTimeout(r.Context(), logTimeout)
	defer cancel()
	info, err := s.cfg.Log.Topic(ctx, r.PathValue("topic"))
	if err != nil {
		return nil, s.logFailure(r, err)
	}
	return info, nil
}

func (s *Server) records(r *http.Request) (any, error) {
	if s.cfg.Log == nil {
		return nil, errNoLog
	}
	q, err := recordQuery(r.PathValue("topic"), r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), logTimeout)
	defer cancel()
	page, err := s.cfg.Log.Records(ctx, q)
	if err != nil {
		return nil, s.logFailure(r, err)
	}
	page.Records = nonNil(page.Records)
	return page, nil
}

func (s *Server) logFailure(r *http.Request, err error) error {
	if errors.Is(err, ErrNoTopic) {
		return notFound("topic or partition", r.PathValue("topic"))
	}
	s.cfg.Logger.WarnContext(r.Context(), "topic not read", "topic", r.PathValue("topic"), "err", err)
	return &failure{http.StatusServiceUnavailable, "the log cannot be read now, try again"}
}

// recordQuery reads ?partition=&offset=&time=&limit=&filter=. Without offset and
// time it is the newest records.
func recordQuery(topic, raw string) (RecordQuery, error) {
	q := RecordQuery{Topic: topic, Partition: -1, Offset: -2, Limit: 50}
	if topic == "" || len(topic) > 249 {
		return q, badRequest("the name of a topic has 1 to 249 characters")
	}
	v, err := url.ParseQuery(raw)
	if err != nil {
		return q, badRequest("the query cannot be read")
	}
	number := func(name string, least, most int64, set func(int64)) error {
		if !v.Has(name) || v.Get(name) == "" {
			return nil
		}
		n, err := strconv.ParseInt(v.Get(name), 10, 64)
		if err != nil || n < least || n > most {
			return badRequest("%s has to be a number from %d to %d", name, least, most)
		}
		set(n)
		return nil
	}
	const big = 1<<63 - 1
	err = errors.Join(
		number("partition", -1, 1<<31-1, func(n int64) { q.Partition = int32(n) }), //nolint:gosec // bounded above
		number("time", 0, big, func(n int64) { q.Offset, q.Time = -1, n }),
		number("offset", 0, big, func(n int64) { q.Offset = n }),
		number("limit", 1, MaxRecords, func(n int64) { q.Limit = int(n) }),
	)
	if err != nil {
		return q, badRequest("%v", err)
	}
	if q.Filter = v.Get("filter"); len(q.Filter) > 200 {
		return q, badRequest("filter has at most 200 characters")
	}
	return q, nil
}

// hopDoc is one record behind what is known of a train.
type hopDoc struct {
	Hop    string     `json:"hop"` // seen (by the sensor), known (position as processed)
	Source sourceDoc  `json:"source"`
	AgeMS  int64      `json:"age_ms"`
	Record *LogRecord `json:"record,omitempty"`
	Error  string     `json:"error,omitempty"`
}

// trainRecords is the X-ray of a train: the very records behind it, newest first.
func (s *Server) trainRecords(r *http.Request) (any, error) {
	id := r.PathValue("id")
	t := s.cfg.Board.Snapshot().Train(id)
	if t == nil {
		return nil, notFound("train", id)
	}
	hops := []hopDoc{s.hop(r, "known", t.Record), s.hop(r, "seen", t.Source)}
	way := visitDocuments(s.cfg.Board.TrainVisits(id))
	return map[string]any{"train_id": id, "hops": hops, "way": way}, nil
}

func (s *Server) hop(r *http.Request, name string, src event.Source) hopDoc {
	h := hopDoc{Hop: name, Source: sourceDocument(src), AgeMS: s.cfg.Now().UnixMilli() - src.Appended}
	if s.cfg.Log == nil || src.Topic == "" {
		return h
	}
	ctx, cancel := context.WithTimeout(r.Context(), logTimeout/4)
	defer cancel()
	page, err := s.cfg.Log.Records(ctx, RecordQuery{Topic: src.Topic, Partition: src.Partition, Offset: src.Offset, Limit: 1})
	switch {
	case err != nil:
		h.Error = "the record cannot be read now"
	case len(page.Records) == 0 || page.Records[0].Offset != src.Offset:
		h.Error = "the record is no longer on the log"
	default:
		h.Record = &page.Records[0]
	}
	return h
}
