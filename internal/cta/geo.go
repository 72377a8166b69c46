package cta

import "math"

const earthRadius = 6371008.8 // metres, mean

// Distance returns the great-circle distance between two places in metres.
func Distance(a, b Point) float64 {
	const rad = math.Pi / 180
	la, lb := a.Lat*rad, b.Lat*rad
	s, t := math.Sin((lb-la)/2), math.Sin((b.Lon-a.Lon)*rad/2)
	h := s*s + math.Cos(la)*math.Cos(lb)*t*t
	return 2 * earthRadius * math.Asin(math.Sqrt(min(1, h)))
}
