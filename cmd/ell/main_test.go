package main

import (
	"runtime"
	"testing"
)

func TestOneCoreGetsTwoProcessorsUnlessTheUserSaysOtherwise(t *testing.T) {
	had := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(had) })
	for _, c := range []struct {
		name, said string
		has, want  int
	}{
		{"one core", "", 1, 2},
		{"one core, and the user wants one", "1", 1, 1},
		{"more cores are left as they are", "", 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("GOMAXPROCS", c.said)
			runtime.GOMAXPROCS(c.has)
			overlap()
			if got := runtime.GOMAXPROCS(0); got != c.want {
				t.Errorf("%d processors, want %d", got, c.want)
			}
		})
	}
}
