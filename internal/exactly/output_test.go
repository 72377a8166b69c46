package exactly

import (
	"testing"

	"ell/internal/event"
)

func TestHeadersOfLargeTransactionsAreGivenBackWhenSmallOnesCome(t *testing.T) {
	headers := []event.Header{{Key: "source", Value: make([]byte, 40)}, {Key: "nothing"}}
	var a arena
	transaction := func(records int) (headersCap, bytesCap int) {
		for range records {
			a.next().Headers = a.copyHeaders(headers)
		}
		a.reset()
		return cap(a.headers), cap(a.bytes)
	}
	const large = 2 * headersKeep // of two headers each
	h, b := transaction(large)
	if h < 2*large || b < 40*large {
		t.Fatalf("room for %d headers and %d bytes is left of a large transaction: the next one grows anew", h, b)
	}
	if h, b := transaction(10); h > headersKeep || b > bytesKeep {
		t.Errorf("room for %d headers and %d bytes is kept for a small transaction", h, b)
	}
}
