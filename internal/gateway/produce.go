package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
	"ell/internal/kafka"
)

type (
	produceAnswer struct {
		Offsets       []offsetDoc `json:"offsets"`
		KeySchemaID   *int        `json:"key_schema_id"`
		ValueSchemaID *int        `json:"value_schema_id"`
	}
	offsetDoc struct {
		Partition *int32  `json:"partition"`
		Offset    *int64  `json:"offset"`
		ErrorCode *int    `json:"error_code"`
		Error     *string `json:"error"`
	}
)

// status is 200 whatever became of single records, unless the proxy itself may
// not write, as Confluent's has it.
func (a *produceAnswer) status() int {
	for _, o := range a.Offsets {
		switch {
		case o.ErrorCode == nil:
		case *o.ErrorCode == codeUnauthenticated:
			return http.StatusUnauthorized
		case *o.ErrorCode == codeUnauthorized:
			return http.StatusForbidden
		}
	}
	return http.StatusOK
}

// form turns a key or value of a request into bytes.
type form func(json.RawMessage) ([]byte, error)

func (g *Gateway) produce(w http.ResponseWriter, r *http.Request) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != mediaAvro && media != mediaJSON && media != mediaBinary {
		return &apiError{http.StatusUnsupportedMediaType, http.StatusUnsupportedMediaType,
			"HTTP 415 Unsupported Media Type: use " + mediaAvro + ", " + mediaJSON + " or " + mediaBinary}
	}
	req, done, err := g.request(w, r)
	if err != nil {
		return err
	}
	defer done()
	d, err := g.describe(r.Context(), r.PathValue("topic"))
	if err != nil {
		return err
	}
	partition, err := partitionOf(r, d)
	if err != nil {
		return err
	}
	answer := produceAnswer{}
	key, value, err := g.forms(r.Context(), d.Topic, media, req, &answer)
	if err != nil {
		return err
	}
	records := make([]*kgo.Record, len(req.Records))
	for i, in := range req.Records {
		rec := &kgo.Record{Topic: d.Topic, Partition: partition}
		if in.Partition != nil { // which goes before the path's, as at Confluent's
			if rec.Partition = *in.Partition; rec.Partition < 0 || int(rec.Partition) >= len(d.Partitions) {
				return errNoPartition()
			}
		}
		if rec.Key, err = key(in.Key); err != nil {
			return about("key", i, err)
		}
		if rec.Value, err = value(in.Value); err != nil {
			return about("value", i, err)
		}
		records[i] = rec
	}
	answer.Offsets = g.send(r.Context(), records)
	return writeStatus(w, answer.status(), answer)
}

// about says in which part of which record the fault of a request is.
func about(part string, i int, err error) error {
	if e, ok := errors.AsType[*apiError](err); ok {
		e.Message = fmt.Sprintf("%s of record %d: %s", part, i, e.Message)
	}
	return err
}

// forms says how keys and values become bytes, and fills in the ids of their schemas.
func (g *Gateway) forms(ctx context.Context, topic, media string, req *produceRequest, answer *produceAnswer) (key, value form, err error) {
	switch media {
	case mediaBinary:
		return decodeBase64, decodeBase64, nil
	case mediaJSON:
		return compactJSON, compactJSON, nil
	}
	var keys, values bool
	for i := range req.Records {
		keys = keys || !null(req.Records[i].Key)
		values = values || !null(req.Records[i].Value)
	}
	if key, answer.KeySchemaID, err = g.avroForm(ctx, topic+"-key", req.KeySchema, req.KeySchemaID, keys, codeKeySchema); err != nil {
		return nil, nil, err
	}
	value, answer.ValueSchemaID, err = g.avroForm(ctx, topic+"-value", req.ValueSchema, req.ValueSchemaID, values, codeValueSchema)
	return key, value, err
}

func null(b json.RawMessage) bool { return len(b) == 0 || string(b) == "null" }

func decodeBase64(b json.RawMessage) ([]byte, error) {
	if null(b) {
		return nil, nil
	}
	if b[0] != '"' { // encoding/json also takes a list of numbers for bytes
		return nil, unprocessable(codeConversion, "it is not base64: it is no string")
	}
	var out []byte
	if err := json.Unmarshal(b, &out); err != nil { // encoding/json takes a string for bytes as base64
		return nil, unprocessable(codeConversion, "it is not base64: %v", err)
	}
	return out, nil
}

func compactJSON(b json.RawMessage) ([]byte, error) {
	if null(b) {
		return nil, nil
	}
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil {
		return nil, unprocessable(codeConversion, "it is not JSON: %v", err)
	}
	return out.Bytes(), nil
}

// avroForm finds the schema that a request names by text or id.
func (g *Gateway) avroForm(ctx context.Context, subject string, text *string, id *int, needed bool, missing int) (form, *int, error) {
	var schema string
	switch {
	case id != nil:
		var err error
		if schema, err = g.cfg.Registry.Schema(*id); errors.Is(err, event.ErrUnknownSchema) {
			return nil, nil, unprocessable(codeSchema, "there is no schema with the id %d", *id)
		} else if err != nil {
			return nil, nil, g.registryError(err)
		}
	case text != nil && *text != "":
		schema = *text
	case needed:
		return nil, nil, unprocessable(missing, "the request has no schema for %s", subject)
	default: // nothing but nulls
		return func(json.RawMessage) ([]byte, error) { return nil, nil }, nil, nil
	}
	parsed, err := g.codec(schema)
	if err != nil {
		return nil, nil, unprocessable(codeSchema, "the schema for %s is none: %v", subject, err)
	}
	if id == nil {
		n, err := g.cfg.Registry.Register(ctx, subject, schema)
		if err != nil {
			return nil, nil, g.registryError(err)
		}
		id = &n
	}
	return func(b json.RawMessage) ([]byte, error) { return encodeAvro(parsed, *id, b) }, id, nil
}

// registryError says that the registry did not take or give a schema. Confluent
// answers 408 with code 40801 to what it does not take.
func (g *Gateway) registryError(err error) error {
	return &apiError{http.StatusRequestTimeout, codeRegistry, "error with the schema registry: " + err.Error()}
}

func encodeAvro(c *codec, id int, b json.RawMessage) ([]byte, error) {
	if null(b) {
		return nil, nil
	}
	out, err := c.appendJSON(event.AppendFrame(nil, id), b)
	if err != nil {
		return nil, unprocessable(codeConversion, "it does not go with its schema: %v", err)
	}
	return out, nil
}

// send writes records and says of each what became of it.
func (g *Gateway) send(ctx context.Context, records []*kgo.Record) []offsetDoc {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	results := g.cl.ProduceSync(ctx, records...)
	index := make(map[*kgo.Record]error, len(results))
	for _, r := range results {
		index[r.Record] = r.Err
	}
	out := make([]offsetDoc, len(records))
	for i, r := range records {
		err := index[r]
		if err == nil {
			g.metrics.records.Inc()
			out[i] = offsetDoc{Partition: &r.Partition, Offset: &r.Offset}
			continue
		}
		code, text := producerCode(err), err.Error()
		out[i] = offsetDoc{ErrorCode: &code, Error: &text}
	}
	return out
}

// producerCode is Confluent's code for what became of a record. The
// documentation of the API has 1 and 2 for it; Confluent's own proxy answers these.
func producerCode(err error) int {
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return codeUnauthenticated
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return codeUnauthorized
	case kafka.Classify(err) == kafka.Transient, errors.Is(err, context.Canceled):
		return codeKafkaRetriable
	}
	return codeKafka
}
