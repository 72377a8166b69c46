package exactly

import "testing"

// nothing is a reducer that does nothing but be somebody.
type nothing struct{ n int }

func (*nothing) Restore(_, _ []byte) error     { return nil }
func (*nothing) Process(*Record, Output) error { return nil }
func (*nothing) Flush(Output) error            { return nil }
func (*nothing) Commit()                       {}
func (*nothing) Rewind()                       {}

func TestMemoryIsUsedAgainOnlyIfNobodyElseCanHaveOwnedThePartition(t *testing.T) {
	t.Parallel()
	one := map[string][]int32{"in": {0}}
	revoked := func(member string, generation int32) change {
		return change{revoked: true, parts: one, member: member, generation: generation}
	}
	assigned := func(parts map[string][]int32, member string, generation int32) change {
		return change{assigned: true, parts: parts, member: member, generation: generation}
	}
	for name, tc := range map[string]struct {
		then []change
		same bool
	}{
		"revoked and back in the next generation":     {[]change{revoked("m", 3), assigned(one, "m", 4)}, true},
		"revoked and back in the same generation":     {[]change{revoked("m", 3), assigned(one, "m", 3)}, true},
		"revoked and back after a cooperative round":  {[]change{revoked("m", 4), assigned(nil, "m", 4), assigned(one, "m", 5)}, true},
		"another generation lies between":             {[]change{revoked("m", 3), assigned(one, "m", 5)}, false},
		"a generation without it lies between":        {[]change{revoked("m", 3), assigned(nil, "m", 4), assigned(nil, "m", 5), assigned(one, "m", 6)}, false},
		"the group has forgotten the member":          {[]change{revoked("m", 3), assigned(one, "other", 4)}, false},
		"the group was made anew":                     {[]change{revoked("m", 3), assigned(one, "m", 1)}, false},
		"the partition was lost, not revoked":         {[]change{{lost: true, parts: one}, assigned(one, "m", 4)}, false},
		"it was revoked and then the rest was lost":   {[]change{revoked("m", 3), {lost: true}, assigned(one, "m", 4)}, false},
		"the revocation was missed and it comes back": {[]change{assigned(one, "m", 5)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := 0
			o := newOwned(&Stage{New: func(Task) Reducer { made++; return &nothing{made} }})
			first := assigned(one, "m", 2)
			o.apply(&first)
			before := o.part("in", 0).task
			before.ready, before.restored = true, true
			for i := range tc.then {
				o.apply(&tc.then[i])
			}
			p := o.part("in", 0)
			if p == nil || o.tasks[Task{Topic: "in"}] != p.task {
				t.Fatal("the partition is not owned")
			}
			if same := p.task == before; same != tc.same {
				t.Errorf("memory used again: %v, want %v", same, tc.same)
			}
			if p.task.ready {
				t.Error("the input flows before offsets are known")
			}
			if p.task.restored != tc.same {
				t.Error("restored memory must be the old one, new memory must be restored")
			}
		})
	}
}

func TestTaskThatWasNotReadyIsNeverUsedAgain(t *testing.T) {
	t.Parallel()
	parts := map[string][]int32{"in": {0}}
	o := newOwned(&Stage{New: func(Task) Reducer { return &nothing{} }})
	for _, c := range []change{
		{assigned: true, parts: parts, member: "m", generation: 1},
		{revoked: true, parts: parts, member: "m", generation: 1},
	} {
		o.apply(&c)
	}
	if len(o.tasks) != 0 || len(o.parked) != 0 || o.part("in", 0) != nil {
		t.Fatalf("%d tasks, %d parked: memory that a restore may still be filling was kept", len(o.tasks), len(o.parked))
	}
}

func TestJoinedTaskGoesWithItsLastPartition(t *testing.T) {
	t.Parallel()
	o := newOwned(&Stage{CoPartitioned: true, New: func(Task) Reducer { return &nothing{} }})
	c := change{assigned: true, parts: map[string][]int32{"a": {1}, "b": {1}}, member: "m", generation: 1}
	o.apply(&c)
	if len(o.tasks) != 1 || o.part("a", 1).task != o.part("b", 1).task {
		t.Fatal("two topics must share the task of their partition")
	}
	c = change{revoked: true, parts: map[string][]int32{"a": {1}}, member: "m", generation: 1}
	o.apply(&c)
	if len(o.tasks) != 1 {
		t.Fatal("the task has gone although it still has a partition")
	}
	c = change{revoked: true, parts: map[string][]int32{"b": {1}}, member: "m", generation: 1}
	o.apply(&c)
	if len(o.tasks) != 0 {
		t.Fatal("the task has stayed without a partition")
	}
}
