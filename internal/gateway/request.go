package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"
)

// produceRequest is the body of a POST. A key or value that is absent or null is
// a null in the record.
type produceRequest struct {
	KeySchema     *string    `json:"key_schema"`
	KeySchemaID   *int       `json:"key_schema_id"`
	ValueSchema   *string    `json:"value_schema"`
	ValueSchemaID *int       `json:"value_schema_id"`
	Records       recordList `json:"records"`
}

type inRecord struct {
	Key       json.RawMessage `json:"key"`
	Value     json.RawMessage `json:"value"`
	Partition *int32          `json:"partition"`
}

// recordList stops at the first record too many: a body of nothing but "{},"
// would otherwise take twenty times its size before anybody counted.
type recordList []inRecord

var errTooMany = errors.New("too many records")

// UnmarshalJSON reads a list, whose syntax is sound when this is called.
func (l *recordList) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return errors.New("records are no list")
	}
	for dec.More() {
		if len(*l) == maxRecords {
			return errTooMany
		}
		var in inRecord
		if err := dec.Decode(&in); err != nil {
			return fmt.Errorf("record %d: %w", len(*l), err)
		}
		*l = append(*l, in)
	}
	return nil
}

// request reads a request within its bounds. A place among those in work is
// taken only when the body is there, and a place among the large ones only by
// bodies that are: so clients that send slowly, or not at all, keep out each
// other but no device with a small body. done gives the places back.
func (g *Gateway) request(w http.ResponseWriter, r *http.Request) (req *produceRequest, done func(), err error) {
	var held []chan struct{}
	release := func() {
		for _, places := range held {
			<-places
		}
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	take := func(places chan struct{}) error {
		wait := time.NewTimer(queueWithin)
		defer wait.Stop()
		select {
		case places <- struct{}{}:
			held = append(held, places)
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		case <-wait.C:
			w.Header().Set("Retry-After", "1")
			return &apiError{http.StatusTooManyRequests, http.StatusTooManyRequests, "HTTP 429 Too Many Requests: try again in a second"}
		}
	}
	if r.ContentLength > g.cfg.MaxBody {
		return nil, nil, g.tooLarge()
	}
	body := http.MaxBytesReader(w, r.Body, g.cfg.MaxBody)
	text, err := io.ReadAll(io.LimitReader(body, smallBody))
	if err == nil && len(text) == smallBody {
		if err := take(g.large); err != nil {
			return nil, nil, err
		}
		var rest []byte
		rest, err = io.ReadAll(body)
		text = append(text, rest...)
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, nil, g.tooLarge()
	}
	if err != nil {
		return nil, nil, bad(err)
	}
	if err := take(g.working); err != nil {
		return nil, nil, err
	}
	req, err = parse(text)
	if err != nil {
		return nil, nil, err
	}
	return req, release, nil
}

func (g *Gateway) tooLarge() error {
	return &apiError{http.StatusRequestEntityTooLarge, http.StatusRequestEntityTooLarge,
		fmt.Sprintf("HTTP 413 Request Entity Too Large: a request may have %d bytes", g.cfg.MaxBody)}
}

func bad(err error) error {
	return &apiError{http.StatusBadRequest, http.StatusBadRequest, "the body is not what it should be: " + err.Error()}
}

// parse reads one JSON object and nothing behind it. encoding/json alone would
// take bytes that are no text for U+FFFD.
func parse(text []byte) (*produceRequest, error) {
	if !utf8.Valid(text) {
		return nil, bad(errors.New("it is not UTF-8"))
	}
	req := &produceRequest{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	switch err := dec.Decode(req); {
	case errors.Is(err, errTooMany):
		return nil, &apiError{http.StatusRequestEntityTooLarge, http.StatusRequestEntityTooLarge,
			fmt.Sprintf("HTTP 413 Request Entity Too Large: a request may have %d records", maxRecords)}
	case err != nil:
		return nil, bad(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, bad(errors.New("something follows the object"))
	}
	if len(req.Records) == 0 {
		return nil, unprocessable(http.StatusUnprocessableEntity, "there are no records")
	}
	return req, nil
}
