package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
)

// Error codes of the registry API.
const (
	codeInvalidSchema   = 42201
	codeVersionNotFound = 40402
	codeSubjectNotFound = 40401
	codeStore           = 50001
)

// maxReferences bounds how many other schemas one may pull in.
const maxReferences = 64

// schemaBody reads the body of a request that carries a schema, leniently as
// the real registry does (unknown fields are dropped), and checks the schema
// itself, which the library does only as far as JSON goes.
func schemaBody(body []byte) (clean []byte, status int, refused []byte) {
	var s sr.Schema
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, http.StatusUnprocessableEntity, refusal(codeInvalidSchema, "request is not a schema: "+err.Error())
	}
	if s.Schema == "" {
		return nil, http.StatusUnprocessableEntity, refusal(codeInvalidSchema, "request holds no schema")
	}
	if s.Type == sr.TypeAvro && len(s.References) == 0 {
		if _, err := avro.Parse(s.Schema); err != nil {
			return nil, http.StatusUnprocessableEntity, refusal(codeInvalidSchema, "invalid AVRO schema: "+err.Error())
		}
	}
	clean, err := json.Marshal(sr.Schema{Schema: s.Schema, Type: s.Type, References: s.References})
	if err != nil {
		return nil, http.StatusUnprocessableEntity, refusal(codeInvalidSchema, err.Error())
	}
	return clean, http.StatusOK, nil
}

func unescape(subject string) string {
	if s, err := url.PathUnescape(subject); err == nil {
		return s
	}
	return subject
}

// versions are those of subject (escaped) that count, ascending.
func (r *registry) versions(subject string) []int {
	status, answer := r.ask(http.MethodGet, "/subjects/"+subject+"/versions", nil)
	var v []int
	if status != http.StatusOK || json.Unmarshal(answer, &v) != nil {
		return nil
	}
	slices.Sort(v)
	return v
}

// level is the compatibility that subject asks for.
func (r *registry) level(subject string) sr.CompatibilityLevel {
	_, answer := r.ask(http.MethodGet, "/config/"+subject, nil)
	var c struct {
		Level sr.CompatibilityLevel `json:"compatibilityLevel"`
	}
	if json.Unmarshal(answer, &c) != nil || c.Level == 0 {
		return sr.CompatFullTransitive
	}
	return c.Level
}

func (r *registry) schema(subject string, version int) (sr.Schema, error) {
	status, answer := r.ask(http.MethodGet, "/subjects/"+subject+"/versions/"+strconv.Itoa(version), nil)
	var s sr.SubjectSchema
	if status != http.StatusOK {
		return s.Schema, fmt.Errorf("subject %q has no version %d", unescape(subject), version)
	}
	err := json.Unmarshal(answer, &s)
	return s.Schema, err
}

// incompatible checks s against versions of subject at a level and says in a
// clause each what does not fit. An error means that s is no valid schema.
func (r *registry) incompatible(subject string, s sr.Schema, versions []int, level sr.CompatibilityLevel) (faults []string, err error) {
	fresh, err := r.parse(s)
	if err != nil || level == sr.CompatNone {
		return nil, err
	}
	backward, forward := true, true
	switch level {
	case sr.CompatBackward, sr.CompatBackwardTransitive:
		forward = false
	case sr.CompatForward, sr.CompatForwardTransitive:
		backward = false
	}
	switch level {
	case sr.CompatBackward, sr.CompatForward, sr.CompatFull:
		versions = versions[max(0, len(versions)-1):]
	}
	for _, v := range slices.Backward(versions) {
		old, err := r.schema(subject, v)
		if err != nil {
			return nil, err
		}
		if old.Type != s.Type {
			faults = append(faults, fmt.Sprintf("version %d is %v, this is %v", v, old.Type, s.Type))
			continue
		}
		if s.Type != sr.TypeAvro {
			faults = append(faults, fmt.Sprintf("compatibility of %v schemas is not checked here, so version %d cannot be followed at level %v: set the subject's level to NONE", s.Type, v, level))
			continue
		}
		earlier, err := r.parse(old)
		if err != nil {
			return nil, fmt.Errorf("version %d: %w", v, err)
		}
		if backward {
			if err := avro.CheckCompatibility(earlier, fresh); err != nil {
				faults = append(faults, fmt.Sprintf("it cannot read what version %d wrote: %v", v, err))
			}
		}
		if forward {
			if err := avro.CheckCompatibility(fresh, earlier); err != nil {
				faults = append(faults, fmt.Sprintf("version %d cannot read what it writes: %v", v, err))
			}
		}
	}
	return faults, nil
}

// parse parses an Avro schema with all it refers to; others give nil.
func (r *registry) parse(s sr.Schema) (*avro.Schema, error) {
	if s.Type != sr.TypeAvro {
		return nil, nil
	}
	var cache avro.SchemaCache
	left := maxReferences
	if err := r.references(&cache, s, &left); err != nil {
		return nil, err
	}
	parsed, err := cache.Parse(s.Schema)
	if err != nil {
		return nil, fmt.Errorf("invalid AVRO schema: %w", err)
	}
	return parsed, nil
}

func (r *registry) references(cache *avro.SchemaCache, s sr.Schema, left *int) error {
	for _, ref := range s.References {
		if *left--; *left < 0 {
			return errors.New("too many references")
		}
		to, err := r.schema(url.PathEscape(ref.Subject), ref.Version)
		if err != nil {
			return fmt.Errorf("reference %q: %w", ref.Name, err)
		}
		if err := r.references(cache, to, left); err != nil {
			return err
		}
		if _, err := cache.Parse(to.Schema); err != nil {
			return fmt.Errorf("reference %q: %w", ref.Name, err)
		}
	}
	return nil
}

// compatibility is POST /compatibility/subjects/{subject}/versions[/{version}].
func (r *registry) compatibility(parts []string, verbose bool, body []byte) (status int, answer []byte) {
	clean, status, refused := schemaBody(body)
	if refused != nil {
		return status, refused
	}
	var s sr.Schema
	if err := json.Unmarshal(clean, &s); err != nil {
		return http.StatusUnprocessableEntity, refusal(codeInvalidSchema, err.Error())
	}
	subject := parts[2]
	versions, level := r.versions(subject), r.level(subject)
	if len(versions) == 0 && len(parts) == 5 {
		return http.StatusNotFound, refusal(codeSubjectNotFound, fmt.Sprintf("Subject '%s' not found.", unescape(subject)))
	}
	if len(parts) == 5 {
		v := versions[len(versions)-1]
		if parts[4] != "latest" && parts[4] != "-1" {
			n, err := strconv.Atoi(parts[4])
			if err != nil || !slices.Contains(versions, n) {
				return http.StatusNotFound, refusal(codeVersionNotFound, fmt.Sprintf("Version %s not found.", parts[4]))
			}
			v = n
		}
		versions = []int{v}
	}
	faults, err := r.incompatible(subject, s, versions, level)
	if err != nil {
		return http.StatusUnprocessableEntity, refusal(codeInvalidSchema, err.Error())
	}
	out := struct {
		Compatible bool     `json:"is_compatible"`
		Messages   []string `json:"messages,omitempty"`
	}{Compatible: len(faults) == 0}
	if verbose {
		out.Messages = faults
	}
	b, err := json.Marshal(out)
	if err != nil {
		return http.StatusInternalServerError, refusal(codeStore, strings.TrimSpace(err.Error()))
	}
	return http.StatusOK, b
}
