package cta

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// tiny is a network of one linear line and one circuit, small enough to break
// in every way.
func tiny() map[string]string {
	return map[string]string{
		"lines.csv": "id,code,name,color,toward_a,toward_b\n" +
			"red,RD,Red Line,#c60c30,North-bound,South-bound\n" +
			"ring,RG,Ring Line,#00a1de,North-bound,Loop-bound\n",
		"stations.csv": "id,name,descriptive,lat,lon,ada,weekday,saturday,sunday\n" +
			"1,North,North (Red),41.90,-87.60,yes,100,50,25\n" +
			"2,South,South (Red),41.89,-87.60,no,100,50,25\n" +
			"3,East,East (Ring),41.89,-87.59,no,100,50,25\n",
		"stops.csv": "id,station,direction,lines,name\n11,1,N,red ring,North (north)\n12,1,S,red ring,North (south)\n21,2,N,red ring,South\n",
		"patterns.csv": "id,line,circuit,name\n" +
			"red-main,red,no,North - South\n" +
			"ring,ring,yes,North - round\n",
		"shapes.csv": "pattern,points\n" +
			"red-main,\"41.90,-87.60 41.89,-87.60\"\n" +
			"ring,\"41.90,-87.60 41.89,-87.60 41.89,-87.59 41.90,-87.60\"\n",
		"calls.csv": "pattern,station,dir,platform,at,run,track\n" +
			"red-main,1,b,12,0,90,1112\n" +
			"red-main,2,b,21,1112,0,0\n" +
			"red-main,2,a,21,1112,90,1112\n" +
			"red-main,1,a,11,0,0,0\n" +
			"ring,1,b,12,0,90,1112\n" +
			"ring,2,b,21,1112,80,828\n" +
			"ring,3,b,0,1940,100,1386\n" +
			"ring,1,a,11,3300,0,0\n",
		"timetable.csv": "pattern,dir,day,first,gaps\n" +
			"red-main,a,weekday,03:00,30x40 15\n" +
			"red-main,b,weekday,03:10,30x40 15\n" +
			"ring,b,sunday,12:00,\n",
		"riders.csv": "hour,weekday,saturday,sunday\n" + hours(24),
	}
}

func hours(n int) string {
	var b strings.Builder
	for h := range n {
		b.WriteString(string([]byte{byte('0' + h/10), byte('0' + h%10)}))
		b.WriteString(",1,1,1\n")
	}
	return b.String()
}

func folder(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestParseReadsASmallNetwork(t *testing.T) {
	n, err := Parse(folder(tiny()))
	if err != nil {
		t.Fatal(err)
	}
	p := n.Pattern("ring")
	if len(p.Stations) != 3 || p.Calls[2].Turn || !p.Calls[3].Turn || p.End(0) != 3 || p.Next(3) != 0 {
		t.Errorf("the circuit is %+v", p)
	}
	if got := n.Departures(Weekday); len(got) != 84 || got[0] != (Departure{Pattern: 0, Call: 2, Minute: 180}) {
		t.Errorf("%d departures, the first %+v", len(got), got[0])
	}
	if got := n.Departures(Sunday); len(got) != 1 || got[0] != (Departure{Pattern: 1, Call: 0, Minute: 720}) {
		t.Errorf("Sunday's departures are %+v", got)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		what, file, old, new string
		want                 string // in the error
	}{
		{"another header", "lines.csv", "id,code", "code,id", "lines.csv: header is"},
		{"an empty file", "lines.csv", tiny()["lines.csv"], "", "lines.csv: header: EOF"},
		{"a missing column", "stops.csv", "12,1,S,red ring,", "12,1,S,", "stops.csv: record on line 3: wrong number of fields"},
		{"a code of one letter", "lines.csv", "RD", "R", `lines.csv: line 2: line "red" has code "R"`},
		{"the same code twice", "lines.csv", "RG", "RD", `lines "red" and "ring" have the same code "RD"`},
		{"a colour that is none", "lines.csv", "#c60c30", "crimson", `colour "crimson": want #rrggbb`},
		{"a line twice", "lines.csv", "ring,RG", "red,RG", `line "red" is there twice`},
		{"an id with a slash", "lines.csv", "red,", "../red,", `id "../red"`},
		{"a control character in a name", "stations.csv", "1,North", "1,No\x01rth", `name "No\x01rth" has characters that cannot be printed`},
		{"broken UTF-8 in a name", "stations.csv", "1,North", "1,No\xffrth", "cannot be printed"},
		{"an endless name", "stations.csv", "1,North", "1," + strings.Repeat("N", 500), "name is 500 bytes long"},
		{"a name without letters", "stations.csv", "1,North", "1,***", "station 1: no letter of its name"},
		{"a station twice", "stations.csv", "\n2,", "\n1,", "stations.csv: line 3: station 1 is there twice"},
		{"two stations of one descriptive name", "stations.csv", "South (Red)", "North (Red)", `stations 1 and 2 have the same descriptive name "North (Red)"`},
		{"a latitude beyond the pole", "stations.csv", "41.90", "91", `lat "91": want a number from -90 to 90`},
		{"not a number", "stations.csv", "41.90", "NaN", `lat "NaN"`},
		{"entries below zero", "stations.csv", "yes,100", "yes,-1", `weekday "-1"`},
		{"an id of zero", "stations.csv", "\n1,", "\n0,", "id is 0"},
		{"an id too large", "stations.csv", "\n1,", "\n4294967297,", `id "4294967297"`},
		{"access neither yes nor no", "stations.csv", "yes", "maybe", `ada "maybe": want yes or no`},
		{"a stop at no station", "stops.csv", "11,1", "11,9", "stops.csv: line 2: station 9 is not in stations.csv"},
		{"a stop twice", "stops.csv", "12,1", "11,1", "stop 11 is there twice"},
		{"a stop of an unknown line", "stops.csv", "N,red ring", "N,red mauve", `stop 11 names line "mauve"`},
		{"a stop toward nowhere", "stops.csv", "11,1,N", "11,1,X", `stop 11 has direction "X"`},
		{"a pattern of an unknown line", "patterns.csv", "red-main,red", "red-main,mauve", `pattern "red-main" names line "mauve"`},
		{"a pattern twice", "patterns.csv", "ring,ring", "red-main,ring", `pattern "red-main" is there twice`},
		{"a line without a pattern", "patterns.csv", "ring,ring", "ring,red", `line "ring" has no pattern`},
		{"a shape of one point", "shapes.csv", "41.90,-87.60 41.89,-87.60\"", "41.90,-87.60\"", `pattern "red-main": no shape of two points`},
		{"a point off the globe", "shapes.csv", "\"41.90,-87.60", "\"41.90,-187.60", `"41.90,-187.60": want lat,lon`},
		{"two shapes", "shapes.csv", "\nring,", "\nred-main,", `pattern "red-main" has two shapes`},
		{"a call of an unknown station", "calls.csv", "red-main,2,b", "red-main,7,b", "calls.csv: line 3: station 7 is not in stations.csv"},
		{"a call of an unknown pattern", "calls.csv", "red-main,2,b", "teal,2,b", `pattern "teal" is not in patterns.csv`},
		{"a call on another station's platform", "calls.csv", "red-main,2,b,21", "red-main,2,b,12", "call 1: station 2 (South) has no stop 12"},
		{"a platform of another line", "stops.csv", "21,2,N,red ring", "21,2,N,red", `stop 21 of station 2 (South) is not for line "ring"`},
		{"a leg backwards along the shape", "calls.csv", "ring,3,b,0,1940", "ring,3,b,0,940", "the leg to station 3 runs the wrong way"},
		{"a call past the end of the track", "calls.csv", "ring,1,a,11,3300", "ring,1,a,11,9300", "call 3: 9300 m is past the end of the shape"},
		{"a leg without run time", "calls.csv", "0,90,1112\nred-main,2,b", "0,0,1112\nred-main,2,b", "call 0: run time and track of the leg to station 2"},
		{"a turn-back with a run time", "calls.csv", "21,1112,0,0", "21,1112,9,0", "call 1: a turn-back has no run time"},
		{"no way out", "calls.csv", "ring,1,b,12,0,90,1112\nring,2,b,21,1112,80,828\nring,3,b,0", "ring,1,a,12,0,90,1112\nring,2,a,21,1112,80,828\nring,3,a,0", `pattern "ring": a round trip runs out in direction b first`},
		{"no way back", "calls.csv", "ring,1,a", "ring,1,b", `pattern "ring": a round trip runs out in direction b first`},
		{"a way back by other stations", "calls.csv", "ring,1,a,11", "ring,2,a,21", "station 2 is not on the way back to 1"},
		{"out again after back", "calls.csv", "red-main,1,a", "red-main,1,b", "call 3: direction b again after a"},
		{"a station twice on the way out", "calls.csv", "ring,3,b,0", "ring,1,b,0", "station 1 is called twice in direction b"},
		{"a circuit that is linear", "patterns.csv", "red-main,red,no", "red-main,red,yes", "do not fit circuit=true"},
		{"a station without trains", "stations.csv", "3,East", "4,West,West (Red),41.8,-87.6,no,1,1,1\n3,East", "no pattern calls at station 4 (West)"},
		{"a day that is none", "timetable.csv", "weekday,03:00", "monday,03:00", `day "monday": want weekday`},
		{"a trip before the service day", "timetable.csv", "03:00", "02:59", `first "02:59": want a time from 03:00 to 26:59`},
		{"a trip after the service day", "timetable.csv", "30x40 15\nred-main,b", "30x48\nred-main,b", "a service day is minute 180 to 1620"},
		{"a gap of no time", "timetable.csv", "30x40 15\nred-main,b", "0x5\nred-main,b", `"0x5": want minutes above 0`},
		{"a bomb of trips", "timetable.csv", "30x40 15\nred-main,b", "1x9223372036854775807\nred-main,b", "at most 1440 in all"},
		{"a circuit that begins backwards", "timetable.csv", "ring,b", "ring,a", `pattern "ring" is a circuit`},
		{"two timetables", "timetable.csv", "red-main,b,weekday", "red-main,a,weekday", `pattern "red-main" direction a has two timetables for a weekday`},
		{"an hour missing", "riders.csv", "\n07,1,1,1", "", "hour 8: want hours 0 to 23 in order"},
		{"a day cut short", "riders.csv", hours(24), hours(23), "23 hours: want 24"},
		{"a curve of nothing", "riders.csv", hours(24), strings.ReplaceAll(hours(24), ",1,1,1", ",1,0,1"), "the curve of a saturday is empty"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			files := tiny()
			if !strings.Contains(files[tc.file], tc.old) {
				t.Fatalf("%s has no %q", tc.file, tc.old)
			}
			files[tc.file] = strings.Replace(files[tc.file], tc.old, tc.new, 1)
			_, err := Parse(folder(files))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
	for name := range tiny() {
		files := tiny()
		delete(files, name)
		if _, err := Parse(folder(files)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if _, err := Parse(os.DirFS(t.TempDir())); err == nil {
		t.Error("an empty folder is a network")
	}
}

// FuzzParse puts hostile text in place of one of the files.
func FuzzParse(f *testing.F) {
	order := []string{"lines.csv", "stations.csv", "stops.csv", "patterns.csv", "shapes.csv", "calls.csv", "timetable.csv", "riders.csv"}
	for i, name := range order {
		f.Add(uint8(i), tiny()[name])
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		files := tiny()
		files[order[int(which)%len(order)]] = text
		n, err := Parse(folder(files))
		if err != nil {
			return
		}
		for _, p := range n.Patterns {
			for i := range p.Calls {
				if n.Station(p.Calls[i].Station) == nil || !p.Calls[p.End(i)].Turn || p.TripTime(i) < 0 {
					t.Fatalf("pattern %s call %d is accepted: %+v", p.ID, i, p.Calls[i])
				}
				p.PointAt(p.Calls[i].At)
			}
		}
		n.StopRows()
		for _, l := range n.Lines {
			if h := n.Headway(l.ID, A, at("2025-10-15 12:00")); h < 0 {
				t.Fatalf("headway of %s is %v", l.ID, h)
			}
		}
	})
}
