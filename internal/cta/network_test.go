package cta

import "testing"

func TestChicagoParses(t *testing.T) {
	n, err := parseChicago()
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Lines) != 8 || len(n.Patterns) != 10 || len(n.Stations) != 144 {
		t.Errorf("got %d lines, %d patterns, %d stations; want 8, 10, 144", len(n.Lines), len(n.Patterns), len(n.Stations))
	}
}

func BenchmarkParseChicago(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseChicago(); err != nil {
			b.Fatal(err)
		}
	}
}
