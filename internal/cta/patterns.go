package cta

import (
	"errors"
	"fmt"
	"slices"
)

// slack is how many metres a call may lie past the end of its shape: calls
// are rounded to a metre and shapes to five decimals of a degree.
const slack = 5

// finishPatterns checks each pattern's calls against the promise in the doc of
// Pattern and fills what follows from them: turn flags, station lists.
func (n *Network) finishPatterns() error {
	for _, p := range n.Patterns {
		if err := p.finish(); err != nil {
			return fmt.Errorf("pattern %q: %w", p.ID, err)
		}
		if err := n.checkPlatforms(p); err != nil {
			return fmt.Errorf("pattern %q: %w", p.ID, err)
		}
		l := n.lines[p.Line]
		for _, id := range p.Stations {
			if !slices.Contains(l.Stations, id) {
				l.Stations = append(l.Stations, id)
			}
		}
	}
	for _, l := range n.Lines {
		for _, id := range l.Stations {
			s := n.stations[id]
			s.Lines = append(s.Lines, l.ID)
		}
	}
	return nil
}

func (p *Pattern) finish() error {
	if len(p.Shape) < 2 {
		return errors.New("no shape of two points or more")
	}
	if len(p.Calls) < 4 {
		return fmt.Errorf("%d calls: a round trip has at least 4", len(p.Calls))
	}
	outward := 0
	for outward < len(p.Calls) && p.Calls[outward].Direction == B {
		outward++
	}
	if outward == 0 || outward == len(p.Calls) {
		return errors.New("a round trip runs out in direction b first, then back in direction a")
	}
	for i := range outward {
		if slices.Contains(p.Stations, p.Calls[i].Station) {
			return fmt.Errorf("call %d: station %d is called twice in direction b", i, p.Calls[i].Station)
		}
		p.Stations = append(p.Stations, p.Calls[i].Station)
	}
	back := p.Calls[outward:]
	for i, c := range back {
		if c.Direction != A {
			return fmt.Errorf("call %d: direction b again after a", outward+i)
		}
		// The way back is the way out from some station to the first.
		if len(back) > outward || c.Station != p.Stations[len(back)-1-i] {
			return fmt.Errorf("call %d: station %d is not on the way back to %d", outward+i, c.Station, p.Stations[0])
		}
	}
	if p.Circuit == (len(back) == outward) {
		return fmt.Errorf("%d calls out and %d back do not fit circuit=%t", outward, len(back), p.Circuit)
	}
	return p.finishCalls()
}

func (p *Pattern) finishCalls() error {
	length := p.ShapeAt[len(p.ShapeAt)-1]
	for i := range p.Calls {
		c, next := &p.Calls[i], &p.Calls[p.Next(i)]
		c.Turn = c.Station == next.Station
		if c.At > length {
			if c.At > length+slack {
				return fmt.Errorf("call %d: %.0f m is past the end of the shape (%.0f m)", i, c.At, length)
			}
			c.At = length
		}
		if c.Turn {
			if c.Run != 0 || c.Track != 0 {
				return fmt.Errorf("call %d: a turn-back has no run time and no track", i)
			}
			continue
		}
		if c.Run <= 0 || c.Track <= 0 {
			return fmt.Errorf("call %d: run time and track of the leg to station %d must be above 0", i, next.Station)
		}
		forward := p.Circuit || c.Direction == B
		if forward != (next.At > c.At) || next.At == c.At {
			return fmt.Errorf("call %d: the leg to station %d runs the wrong way along the shape (%.0f m to %.0f m)", i, next.Station, c.At, next.At)
		}
	}
	return nil
}

func (n *Network) checkPlatforms(p *Pattern) error {
	for i, c := range p.Calls {
		if c.Platform == 0 {
			continue
		}
		s := n.stations[c.Station]
		k := slices.IndexFunc(s.Stops, func(o Stop) bool { return o.ID == c.Platform })
		if k < 0 {
			return fmt.Errorf("call %d: station %d (%s) has no stop %d", i, s.ID, s.Name, c.Platform)
		}
		if !slices.Contains(s.Stops[k].Lines, p.Line) {
			return fmt.Errorf("call %d: stop %d of station %d (%s) is not for line %q", i, c.Platform, s.ID, s.Name, p.Line)
		}
	}
	return nil
}
