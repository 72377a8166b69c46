package process

import (
	"bytes"
	"strconv"

	"ell/internal/event"
)

// Headers of a record of arrivals.by_line.
const (
	// headerPattern is the trip pattern, as the sensor sent it.
	headerPattern = "pattern"
	// headerSource says which record of which sensor's topic was forwarded:
	// "topic partition offset appended", appended in milliseconds of wall time.
	headerSource = "source"
	// headerTick marks a record of the city's clock.
	headerTick = "tick"
)

const maxTopic = 249 // bytes of a topic's name, as Kafka has it

func isTick(headers []event.Header) bool {
	for i := range headers {
		if headers[i].Key == headerTick {
			return true
		}
	}
	return false
}

// appendSource writes the value of the source header for r.
func appendSource(dst []byte, r *event.Record) []byte {
	dst = append(dst, r.Topic...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(r.Partition), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, r.Offset, 10)
	dst = append(dst, ' ')
	return strconv.AppendInt(dst, r.Appended, 10)
}

// sources reads source headers, keeping each topic's name once.
type sources struct{ topics map[string]string }

// maxTopicNames bounds the names kept; the network has two topics a station.
const maxTopicNames = 4096

// of returns the sensor's record that r was forwarded from, r itself where no
// readable header says otherwise.
func (s *sources) of(r *event.Record) event.Source {
	self := event.Source{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Appended: r.Appended}
	if len(self.Topic) > maxTopic {
		self.Topic = self.Topic[:maxTopic]
	}
	for i := range r.Headers {
		if r.Headers[i].Key != headerSource {
			continue
		}
		v := r.Headers[i].Value
		topic, v, ok := bytes.Cut(v, []byte{' '})
		if !ok || len(topic) == 0 || len(topic) > maxTopic {
			return self
		}
		partition, v, ok1 := cutInt(v)
		offset, v, ok2 := cutInt(v)
		appended, v, ok3 := cutInt(v)
		if !ok1 || !ok2 || !ok3 || len(v) > 0 || partition < 0 || partition > 1<<30 || offset < 0 || appended < 0 {
			return self
		}
		return event.Source{Topic: s.intern(topic), Partition: int32(partition), Offset: offset, Appended: appended}
	}
	return self
}

// intern returns topic as a string without making a new one each time.
func (s *sources) intern(topic []byte) string {
	if t, ok := s.topics[string(topic)]; ok {
		return t
	}
	if s.topics == nil || len(s.topics) >= maxTopicNames {
		s.topics = make(map[string]string)
	}
	t := string(topic)
	s.topics[t] = t
	return t
}

// cutInt reads a decimal number up to the next space or the end.
func cutInt(b []byte) (v int64, rest []byte, ok bool) {
	digits, rest, _ := bytes.Cut(b, []byte{' '})
	if len(digits) == 0 || len(digits) > 18 {
		return 0, nil, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, nil, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, rest, true
}
