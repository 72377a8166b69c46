package payload

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestFramesHaveTheirSizeAndAreFound(t *testing.T) {
	for _, size := range []int{128, 700, 1400, 9000} {
		m, err := New(size)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []Header{{Frame, 1, 1_800_000_000_000_000}, {Frame, 4_000_000_000, 1}, {State, 77, 1_800_000_000_000_000}} {
			b := m.Append(nil, h)
			if len(b) != m.Size(h.Kind) || !json.Valid(b) || bytes.ContainsRune(b, '\n') {
				t.Fatalf("%+v of %d bytes: %d bytes, want one line of JSON of %d: %s", h, size, len(b), m.Size(h.Kind), b)
			}
			got, ok, err := m.Find(append(append([]byte("data: "), b...), "\n\n"...))
			if got != h || !ok || err != nil {
				t.Errorf("put %+v, found %+v, %v, %v", h, got, ok, err)
			}
			for _, i := range []int{headerSize + 1, len(b) / 2, len(b) - 1} {
				broken := bytes.Clone(b)
				broken[i] ^= 1
				if _, ok, err := m.Find(broken); ok || err == nil {
					t.Errorf("byte %d of %d damaged: not noticed", i, len(b))
				}
			}
			if _, ok, err := m.Find(b[:len(b)-1]); ok || err == nil {
				t.Error("cut off: not noticed")
			}
		}
		if _, ok, err := m.Find([]byte(":\n\n")); ok || err != nil {
			t.Errorf("a heartbeat: %v, %v", ok, err)
		}
	}
	if _, err := New(20); err == nil {
		t.Error("frames without room for a number are made")
	}
}
