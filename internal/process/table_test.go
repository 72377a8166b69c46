package process

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func contents(t *Table[int, int]) map[int]int {
	out := make(map[int]int)
	for k, v := range t.All() {
		out[k] = *v
	}
	return out
}

// TestTableBehavesLikeAMapWithCopies compares a table, over random operations,
// with a map that is copied at each commit.
func TestTableBehavesLikeAMapWithCopies(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		tab := NewTable[int, int]()
		now, was := map[int]int{}, map[int]int{}
		var places [12]Place[int, int]
		for range 300 {
			k, v := r.IntN(12), r.IntN(1000)
			switch r.IntN(12) {
			case 0:
				tab.Commit()
				was = maps.Clone(now)
			case 1:
				tab.Rewind()
				now = maps.Clone(was)
			case 2, 3, 4:
				_, there := now[k]
				if tab.Delete(k) != there {
					t.Fatalf("seed %d: Delete(%d) is not %v", seed, k, there)
				}
				delete(now, k)
			case 5, 6:
				*tab.Edit(k) += v
				now[k] += v
			case 7:
				*tab.EditAt(&places[k], k) += v
				now[k] += v
			case 8:
				_, there := now[k]
				if p := tab.EditIf(k); (p != nil) != there {
					t.Fatalf("seed %d: EditIf(%d) is not %v", seed, k, there)
				} else if there {
					*p += v
					now[k] += v
				}
			default:
				tab.Set(k, v)
				now[k] = v
			}
			if got := contents(tab); !maps.Equal(now, got) {
				t.Fatalf("seed %d: %s", seed, cmp.Diff(now, got))
			}
			for k := range places {
				want, there := now[k]
				if p := tab.PeekAt(&places[k], k); (p != nil) != there || there && *p != want {
					t.Fatalf("seed %d: at its place %d is not %d, %v", seed, k, want, there)
				}
			}
			if tab.Len() != len(now) {
				t.Fatalf("seed %d: Len is %d, want %d", seed, tab.Len(), len(now))
			}
			// What is dirty, applied to the committed state, gives the present one.
			made := maps.Clone(was)
			for k, v := range tab.Dirty() {
				if v == nil {
					delete(made, k)
				} else {
					made[k] = *v
				}
			}
			if !maps.Equal(now, made) {
				t.Fatalf("seed %d: dirty entries do not lead from committed to present: %s", seed, cmp.Diff(now, made))
			}
		}
	}
}

func TestTableDoesNotAllocateInSteadyState(t *testing.T) {
	tab := NewTable[int32, [4]int64]()
	work := func() {
		for k := range int32(150) {
			tab.Edit(k)[1]++
		}
		tab.Commit()
		for k := range int32(150) {
			tab.Edit(k)[2]++
		}
		tab.Rewind()
	}
	work()
	if n := testing.AllocsPerRun(100, work); n != 0 {
		t.Errorf("%v allocations in 300 edits with commit and rewind, want 0", n)
	}
}

func TestTableReusesTheSlotsOfDeletedKeys(t *testing.T) {
	tab := NewTable[int, int]()
	for i := range 10_000 {
		tab.Set(i, i)
		tab.Delete(i - 5)
		tab.Commit()
	}
	if n := tab.used; n > 12 {
		t.Errorf("%d slots for 5 keys at a time", n)
	}
}

func TestTableKeepsManyKeysWhereTheyAre(t *testing.T) {
	tab := NewTable[int, int]()
	first := tab.Edit(0)
	for i := range 100_000 {
		tab.Set(i, i)
	}
	tab.Commit()
	for i := range 100_000 {
		if v, ok := tab.Get(i); !ok || v != i {
			t.Fatalf("key %d holds %d, %v", i, v, ok)
		}
	}
	if tab.Peek(0) != first {
		t.Error("the first slot has moved")
	}
}
