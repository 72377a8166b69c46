package process

import "slices"

const (
	arenaFirst = 2 << 10  // bytes of the first chunk; most reducers, one a topic, need no more
	arenaChunk = 64 << 10 // bytes of the largest
	arenaRoom  = 1 << 10  // bytes free at the start of each slice handed out
	arenaKeep  = 64       // chunks kept from one transaction to the next
)

// arena hands out byte slices that stay unchanged until reset. It keeps its
// memory, so that in steady state nothing allocates.
type arena struct {
	chunks [][]byte
	cur    int
}

// open returns an empty slice with room to append to; close it before the next open.
func (a *arena) open() []byte {
	for ; a.cur < len(a.chunks); a.cur++ {
		if c := a.chunks[a.cur]; cap(c)-len(c) >= arenaRoom {
			return c[len(c):]
		}
	}
	// Each chunk is twice as large as the one before, up to the largest.
	a.chunks = append(a.chunks, make([]byte, 0, min(arenaFirst<<min(len(a.chunks), 16), arenaChunk)))
	return a.chunks[a.cur]
}

// close keeps b, which was appended to the slice that open returned. A slice
// that outgrew its chunk has memory of its own and is returned as it is.
func (a *arena) close(b []byte) []byte {
	c := a.chunks[a.cur]
	if len(b) <= cap(c)-len(c) {
		a.chunks[a.cur] = c[:len(c)+len(b)]
	}
	return slices.Clip(b)
}

// reset forgets everything handed out. What one huge transaction took beyond
// the usual is given back.
func (a *arena) reset() {
	if len(a.chunks) > arenaKeep {
		clear(a.chunks[arenaKeep:])
		a.chunks = a.chunks[:arenaKeep]
	}
	for i := range a.chunks {
		a.chunks[i] = a.chunks[i][:0]
	}
	a.cur = 0
}
