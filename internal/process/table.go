package process

import (
	"iter"
	"math/bits"
)

// Table is a map that remembers what changed since the last Commit and can go
// back to it. In steady state (keys known, tables warm) nothing allocates.
//
// V is copied by assignment to undo a change, so it must not share memory that
// is changed in place: no maps, no slices that are written to.
type Table[K comparable, V any] struct {
	index map[K]int32
	// Slots lie in chunks, each as large as all before it and firstSlots more, so that
	// a table of millions grows without ever being copied.
	chunks [][]slot[K, V]
	used   int32   // slots handed out so far
	dirty  []int32 // slots changed since Commit, in the order of their first change
	free   []int32 // slots of deleted keys, committed
	live   int
}

type slot[K comparable, V any] struct {
	key     K
	now     V
	old     V    // at the last Commit; valid while dirty
	live    bool // the key is there now
	was     bool // the key was there at the last Commit; valid while dirty
	isDirty bool
}

// firstSlots is the size of the first chunk, a power of two.
const firstSlots = 8

// at is slot i.
func (t *Table[K, V]) at(i int32) *slot[K, V] {
	n := uint32(i) + firstSlots
	k := bits.Len32(n) - bits.Len32(firstSlots)
	return &t.chunks[k][n-firstSlots<<k]
}

// NewTable returns an empty table.
func NewTable[K comparable, V any]() *Table[K, V] {
	return &Table[K, V]{index: make(map[K]int32)}
}

// Len is the number of keys.
func (t *Table[K, V]) Len() int { return t.live }

// Get returns the value of k.
func (t *Table[K, V]) Get(k K) (v V, ok bool) {
	if p := t.Peek(k); p != nil {
		return *p, true
	}
	return v, false
}

// Peek returns the value of k to read, nil if there is none. The pointer holds
// until the table changes next.
func (t *Table[K, V]) Peek(k K) *V {
	i, ok := t.index[k]
	if !ok || !t.at(i).live {
		return nil
	}
	return &t.at(i).now
}

// Place remembers where a table has a key, for one who asks for the same one
// again and again. The zero value knows nothing yet.
type Place[K comparable, V any] struct {
	slot *slot[K, V] // slots never move
	i    int32
}

// PeekAt is Peek of the key that the place is for.
func (t *Table[K, V]) PeekAt(p *Place[K, V], k K) *V {
	if s := p.slot; s != nil && s.live && s.key == k {
		return &s.now
	}
	i, ok := t.index[k]
	if !ok || !t.at(i).live {
		return nil
	}
	p.slot, p.i = t.at(i), i
	return &p.slot.now
}

// EditAt is Edit of the key that the place is for.
func (t *Table[K, V]) EditAt(p *Place[K, V], k K) *V {
	if t.PeekAt(p, k) == nil {
		return t.Edit(k)
	}
	return t.edit(p.i)
}

// EditIf is Edit for a key that is there, nil if it is not.
func (t *Table[K, V]) EditIf(k K) *V {
	i, ok := t.index[k]
	if !ok || !t.at(i).live {
		return nil
	}
	return t.edit(i)
}

// Edit returns the value of k to change in place, made new (the zero value) if
// there was none. The pointer holds until the next Edit, Set, Commit or Rewind.
func (t *Table[K, V]) Edit(k K) *V {
	i, ok := t.index[k]
	if !ok {
		i = t.take(k)
	}
	return t.edit(i)
}

func (t *Table[K, V]) edit(i int32) *V {
	s := t.at(i)
	if !s.isDirty {
		t.touch(i)
	}
	if !s.live {
		s.live = true
		t.live++
	}
	return &s.now
}

// Set gives k the value v.
func (t *Table[K, V]) Set(k K, v V) { *t.Edit(k) = v }

// Delete removes k and says whether it was there.
func (t *Table[K, V]) Delete(k K) bool {
	i, ok := t.index[k]
	if !ok || !t.at(i).live {
		return false
	}
	s := t.at(i)
	if !s.isDirty {
		t.touch(i)
	}
	var zero V
	s.now, s.live = zero, false
	t.live--
	return true
}

// touch keeps the committed value of slot i for Rewind.
func (t *Table[K, V]) touch(i int32) {
	s := t.at(i)
	s.old, s.was, s.isDirty = s.now, s.live, true
	t.dirty = append(t.dirty, i)
}

// take finds a slot for a new key.
func (t *Table[K, V]) take(k K) int32 {
	var i int32
	if n := len(t.free); n > 0 {
		i = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		i = t.used
		t.used++
		if k := len(t.chunks); i == firstSlots<<k-firstSlots {
			t.chunks = append(t.chunks, make([]slot[K, V], firstSlots<<k))
		}
	}
	t.at(i).key = k
	t.index[k] = i
	return i
}

// drop gives slot i back.
func (t *Table[K, V]) drop(i int32) {
	s := t.at(i)
	delete(t.index, s.key)
	*s = slot[K, V]{}
	t.free = append(t.free, i)
}

// All yields every key with its value to read. The table must not change meanwhile.
func (t *Table[K, V]) All() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		left := t.used
		for _, chunk := range t.chunks {
			for i := range chunk[:min(int(left), len(chunk))] {
				if s := &chunk[i]; s.live && !yield(s.key, &s.now) {
					return
				}
			}
			left -= min(left, int32(len(chunk)))
		}
	}
}

// Dirty yields every key changed since the last Commit, in the order of the
// first changes; the value is nil if the key is gone. A value may be changed in
// place. Keys that came and went in between are left out.
func (t *Table[K, V]) Dirty() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		for _, i := range t.dirty {
			s := t.at(i)
			switch {
			case s.live:
				if !yield(s.key, &s.now) {
					return
				}
			case s.was:
				if !yield(s.key, nil) {
					return
				}
			}
		}
	}
}

// Commit makes the present state the one that Rewind returns to.
func (t *Table[K, V]) Commit() {
	var zero V
	for _, i := range t.dirty {
		s := t.at(i)
		s.isDirty, s.old = false, zero
		if !s.live {
			t.drop(i)
		}
	}
	t.dirty = t.dirty[:0]
}

// Rewind undoes every change since the last Commit.
func (t *Table[K, V]) Rewind() {
	var zero V
	for _, i := range t.dirty {
		s := t.at(i)
		if s.live != s.was {
			if s.was {
				t.live++
			} else {
				t.live--
			}
		}
		if !s.was {
			t.drop(i)
			continue
		}
		s.now, s.old, s.live, s.isDirty = s.old, zero, true, false
	}
	t.dirty = t.dirty[:0]
}
