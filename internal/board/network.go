package board

import (
	"encoding/json"
	"fmt"
	"math"

	"ell/internal/cta"
)

// NetworkDocument returns /api/v1/network of docs/stream.md: what seldom changes.
func NetworkDocument(n *cta.Network) ([]byte, error) {
	type line struct {
		ID       string    `json:"id"`
		Name     string    `json:"name"`
		Color    string    `json:"color"`
		Toward   [2]string `json:"toward"`
		Stations []int32   `json:"stations"`
	}
	type call struct {
		Station int32   `json:"station"`
		Dir     string  `json:"dir"`
		At      float64 `json:"at"`
		Run     float64 `json:"run"`
		Track   float64 `json:"track"`
		Turn    bool    `json:"turn"`
	}
	type pattern struct {
		ID      string       `json:"id"`
		Line    string       `json:"line"`
		Name    string       `json:"name"`
		Circuit bool         `json:"circuit"`
		Shape   [][2]float64 `json:"shape"`
		ShapeAt []float64    `json:"shape_at"`
		Calls   []call       `json:"calls"`
	}
	type station struct {
		ID          int32      `json:"id"`
		Name        string     `json:"name"`
		Descriptive string     `json:"descriptive"`
		Slug        string     `json:"slug"`
		Lat         float64    `json:"lat"`
		Lon         float64    `json:"lon"`
		ADA         bool       `json:"ada"`
		Lines       []string   `json:"lines"`
		Entries     [3]float64 `json:"entries"`
	}
	doc := struct {
		Lines    []line    `json:"lines"`
		Patterns []pattern `json:"patterns"`
		Stations []station `json:"stations"`
	}{[]line{}, []pattern{}, []station{}}
	for _, l := range n.Lines {
		doc.Lines = append(doc.Lines, line{l.ID, l.Name, l.Color, l.Toward, l.Stations})
	}
	for _, p := range n.Patterns {
		out := pattern{ID: p.ID, Line: p.Line, Name: p.Name, Circuit: p.Circuit}
		for i, at := range p.Shape {
			// Six digits are a tenth of a metre, one is ten centimetres.
			out.Shape = append(out.Shape, [2]float64{round(at.Lat, 6), round(at.Lon, 6)})
			out.ShapeAt = append(out.ShapeAt, round(p.ShapeAt[i], 1))
		}
		for _, c := range p.Calls {
			out.Calls = append(out.Calls, call{c.Station, c.Direction.String(), round(c.At, 1), round(c.Run, 1), round(c.Track, 1), c.Turn})
		}
		doc.Patterns = append(doc.Patterns, out)
	}
	for _, s := range n.Stations {
		doc.Stations = append(doc.Stations, station{
			s.ID, s.Name, s.Descriptive, s.Slug, round(s.Point.Lat, 6), round(s.Point.Lon, 6), s.ADA, s.Lines, s.Entries,
		})
	}
	out, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode network: %w", err)
	}
	return out, nil
}

func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}
