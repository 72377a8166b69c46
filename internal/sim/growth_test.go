package sim

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"ell/internal/cta"
)

// chicagos is a network of n Chicagos beside each other that share nothing,
// written in the network's own form and read by its own parser.
func chicagos(tb testing.TB, n int) *cta.Network {
	tb.Helper()
	const data = "../cta/data"
	// How each column that names something is told apart from the same in another copy.
	word := func(s string, k int) string { return s + strconv.FormatInt(int64(k), 36) }
	number := func(s string, k int) string {
		id, err := strconv.Atoi(s)
		if err != nil {
			tb.Fatal(err)
		}
		if id == 0 {
			return s // a platform that is not known
		}
		return strconv.Itoa(id + k*100_000)
	}
	words := func(s string, k int) string {
		f := strings.Fields(s)
		for i := range f {
			f[i] = word(f[i], k)
		}
		return strings.Join(f, " ")
	}
	letters := func(s string, k int) string {
		return s + string([]byte{'A' + byte(k/676), 'A' + byte(k/26%26), 'A' + byte(k%26)})
	} //nolint:gosec // below 17,576
	names := map[string]map[string]func(string, int) string{
		"lines.csv":     {"id": word, "code": letters},
		"stations.csv":  {"id": number, "descriptive": word},
		"stops.csv":     {"id": number, "station": number, "lines": words},
		"patterns.csv":  {"id": word, "line": word},
		"shapes.csv":    {"pattern": word},
		"calls.csv":     {"pattern": word, "station": number, "platform": number},
		"timetable.csv": {"pattern": word},
		"riders.csv":    nil, // of the hours of a day: the same for all
	}
	dir := fstest.MapFS{}
	for file, columns := range names {
		text, err := os.ReadFile(filepath.Join(data, file))
		if err != nil {
			tb.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
		if err != nil {
			tb.Fatal(err)
		}
		var out strings.Builder
		w := csv.NewWriter(&out)
		if err := w.Write(rows[0]); err != nil {
			tb.Fatal(err)
		}
		copies := n
		if columns == nil {
			copies = 1
		}
		for k := range copies {
			for _, row := range rows[1:] {
				row = append([]string(nil), row...)
				for i, name := range rows[0] {
					if f := columns[name]; f != nil && k > 0 {
						row[i] = f(row[i], k)
					}
				}
				if err := w.Write(row); err != nil {
					tb.Fatal(err)
				}
			}
		}
		w.Flush()
		dir[file] = &fstest.MapFile{Data: []byte(out.String())}
	}
	net, err := cta.Parse(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return net
}

// BenchmarkGrowth is how time and memory grow with the network: an hour of a
// weekday morning of 1 to 1,000 Chicagos, per event.
func BenchmarkGrowth(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("stations=%d", 144*n), func(b *testing.B) {
			net := chicagos(b, n)
			before := heap()
			var events int
			var took time.Duration
			var city *City
			for b.Loop() {
				b.StopTimer()
				city = mustCity(b, net, Options{Seed: 1, Start: wednesday + 4*hour, Incidents: "normal"})
				b.StartTimer()
				var c count
				begun := time.Now()
				city.Advance(wednesday+5*hour, &c)
				took += time.Since(begun)
				events += c.arrivals + c.entries
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(events), "ns/event")
			b.ReportMetric(float64(heap()-before)/float64(144*n), "heap-B/station")
			runtime.KeepAlive(city)
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // no heap is that large
}

func TestTenChicagosAreTenTimesOneAndCostNoMore(t *testing.T) {
	type size struct {
		events int
		heap   int64
	}
	measure := func(n int) size {
		net := chicagos(t, n)
		before := heap()
		city := mustCity(t, net, Options{Seed: 1, Start: wednesday + 4*hour, Incidents: "off"})
		var c count
		city.Advance(wednesday+5*hour, &c)
		s := size{c.arrivals + c.entries, heap() - before}
		runtime.KeepAlive(city)
		return s
	}
	one, ten := measure(1), measure(10)
	if ratio := float64(ten.events) / float64(one.events); ratio < 9.8 || ratio > 10.2 {
		t.Errorf("ten Chicagos have %.2f times the events of one", ratio)
	}
	if ten.heap > 11*one.heap {
		t.Errorf("ten Chicagos take %d bytes, one takes %d", ten.heap, one.heap)
	}
}
