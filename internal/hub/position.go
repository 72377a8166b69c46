package hub

import (
	"strconv"
	"strings"
	"time"
)

// maxEpoch bounds the epoch, and with it what is looked at in Last-Event-ID.
const maxEpoch = 32

// baseAge is how old the encoded snapshot may be that new viewers get, with
// the deltas since; a herd of viewers costs one snapshot per baseAge.
const baseAge = time.Second

// position is where a viewer is in the stream.
type position struct {
	seq    uint64 // newest frame handed to it
	synced bool   // whether it has a state that the next delta fits
}

// resume reads a Last-Event-ID, "<epoch>-<seq>". Anything else, or an id of
// another epoch, begins with a snapshot.
func resume(epoch, lastEventID string) position {
	if len(lastEventID) > maxEpoch+21 {
		return position{}
	}
	e, n, ok := strings.Cut(lastEventID, "-")
	if !ok || e != epoch {
		return position{}
	}
	seq, err := strconv.ParseUint(n, 10, 64)
	if err != nil || seq == 0 {
		return position{}
	}
	return position{seq: seq, synced: true}
}

// next returns the piece that a viewer at p gets now and moves p past it; nil
// when it is up to date.
func (h *Hub) next(p *position, enc int) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == 0 {
		return nil
	}
	if p.synced && p.seq == h.last {
		return nil
	}
	if p.synced && p.seq < h.last && h.cheap(p.seq, enc) {
		p.seq++
		return h.ring[p.seq-h.ring[0].seq].body[enc]
	}
	if p.synced {
		h.count.skipped.Add(1)
	}
	b := h.freshBase(enc)
	p.seq, p.synced = b.seq, true
	return b.body[enc]
}

// cheap says whether the frames after seq are still there and cost no more
// than a snapshot.
func (h *Hub) cheap(seq uint64, enc int) bool {
	first := h.ring[0].seq
	if seq+1 < first {
		return false
	}
	f := h.ring[seq+1-first]
	behind := h.sizes[enc] - f.end[enc] + int64(len(f.body[enc]))
	return behind <= h.snapshotSize(enc)
}

// snapshotSize is what a snapshot costs, by the last one; before the first a guess.
func (h *Hub) snapshotSize(enc int) int64 {
	if h.base == nil {
		return 16 << 10
	}
	return max(int64(len(h.base.body[enc])), 4<<10)
}

// freshBase returns an encoded snapshot which, with the deltas since, leads to
// the present at little cost.
func (h *Hub) freshBase(enc int) *frame {
	b, now := h.base, time.Now()
	if b != nil && now.Sub(h.baseAt) < baseAge && (b.seq == h.last || h.cheap(b.seq, enc)) {
		return b
	}
	h.base = h.enc.snapshot(h.opt.Epoch, h.last, h.snap, now.UnixMilli())
	h.baseAt = now
	h.count.snapshots.Add(1)
	return h.base
}
