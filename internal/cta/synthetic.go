package cta

import (
	"fmt"
	"slices"
)

// maxCopies is how many copies of the network still have line codes of two
// capital letters and station ids of 32 bits.
const maxCopies = 80

// idStep lies between the ids of a station and of its copy.
const idStep = 100_000

// Synthetic returns a network of factor copies of the Chicago 'L', side by
// side and not connected, to measure how the system grows. Copy 0 is the real
// one; copy k has ids of its own ("red-2", station 240900), names and slugs
// that say which copy it is, and lies k half-degrees to the west. factor is 1 to 80.
func Synthetic(factor int) (*Network, error) {
	if factor < 1 || factor > maxCopies {
		return nil, fmt.Errorf("make a synthetic network: factor %d; want 1 to %d", factor, maxCopies)
	}
	src := Chicago()
	n := empty()
	n.share = src.share
	codes := newCodes(src)
	for k := range factor {
		n.addCopy(src, k, codes)
	}
	slices.SortFunc(n.Stations, func(a, b *Station) int { return int(a.ID) - int(b.ID) })
	n.sortDepartures()
	n.buildHeadways()
	n.buildShares()
	return n, nil
}

func (n *Network) addCopy(src *Network, k int, codes *codes) {
	suffix, sign := "", ""
	if k > 0 {
		suffix, sign = fmt.Sprintf("-%d", k), fmt.Sprintf(" (%d)", k)
	}
	step := int32(k) * idStep //nolint:gosec // G115: k is below maxCopies
	west := func(p Point) Point { return Point{Lat: p.Lat, Lon: p.Lon - 0.5*float64(k)} }
	ids := func(in []string) []string {
		out := make([]string, len(in))
		for i, s := range in {
			out[i] = s + suffix
		}
		return out
	}
	nums := func(in []int32) []int32 {
		out := make([]int32, len(in))
		for i, v := range in {
			out[i] = v + step
		}
		return out
	}
	for _, l := range src.Lines {
		c := *l
		c.Index, c.ID, c.Name = len(n.Lines), l.ID+suffix, l.Name+sign
		c.Patterns, c.Stations = ids(l.Patterns), nums(l.Stations)
		if k > 0 {
			c.Code = codes.next()
		}
		n.Lines, n.lines[c.ID] = append(n.Lines, &c), &c
	}
	for _, s := range src.Stations {
		c := *s
		c.ID, c.Name, c.Descriptive = s.ID+step, s.Name+sign, s.Descriptive+sign
		c.Slug, c.Point, c.Lines = Slug(c.Name), west(s.Point), ids(s.Lines)
		c.Stops = slices.Clone(s.Stops)
		n.Stations, n.stations[c.ID] = append(n.Stations, &c), &c
		for i := range c.Stops {
			c.Stops[i].ID += step
			c.Stops[i].Lines = ids(c.Stops[i].Lines)
			n.stops[c.Stops[i].ID] = &c
		}
	}
	first := len(n.Patterns)
	for _, p := range src.Patterns {
		c := *p
		c.Index, c.ID, c.Line = len(n.Patterns), p.ID+suffix, p.Line+suffix
		c.Stations, c.Calls, c.Shape = nums(p.Stations), slices.Clone(p.Calls), slices.Clone(p.Shape)
		for i := range c.Calls {
			c.Calls[i].Station += step
			if c.Calls[i].Platform != 0 {
				c.Calls[i].Platform += step
			}
		}
		for i := range c.Shape {
			c.Shape[i] = west(c.Shape[i])
		}
		n.Patterns, n.patterns[c.ID] = append(n.Patterns, &c), &c
	}
	for day := range src.departs {
		for _, d := range src.departs[day] {
			d.Pattern += first
			n.departs[day] = append(n.departs[day], d)
		}
	}
}

// codes hands out two-letter line codes that the real lines do not use.
type codes struct {
	used map[string]bool
	n    int
}

func newCodes(n *Network) *codes {
	c := &codes{used: make(map[string]bool)}
	for _, l := range n.Lines {
		c.used[l.Code] = true
	}
	return c
}

func (c *codes) next() string {
	for {
		code := string([]byte{byte('A' + c.n/26), byte('A' + c.n%26)})
		c.n++
		if !c.used[code] {
			return code
		}
	}
}
