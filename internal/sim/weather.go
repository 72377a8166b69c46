package sim

import (
	"math"
	"time"

	"ell/internal/cta"
	"ell/internal/event"
)

// WeatherEvery is the time between readings, in ms.
const WeatherEvery = 10 * minute

// Weather is the city's weather. Any reading can be had at any time, in any
// order: temperature swings around the average of the season and the hour by a
// mean-reverting process (Ornstein-Uhlenbeck, hour by hour), of which as much
// of the past is summed up as still tells. Cloud and wind are two more such
// processes; the status says which of them stands out. It is safe for
// concurrent use.
type Weather struct {
	seed, start       int64
	heat, cloud, wind drift
}

// NewWeather returns the weather of the city with that seed. Its first reading
// is at start, ms since the epoch, and every WeatherEvery from there on.
func NewWeather(seed, start int64) *Weather {
	return &Weather{
		seed: seed, start: start,
		heat:  newDrift(seed, streamTemperature, 0.985), // a spell of days
		cloud: newDrift(seed, streamSky, 0.93),          // half a day
		wind:  newDrift(seed, streamWind, 0.9),
	}
}

const (
	coldest, hottest = -25, 105 // °F; about what the city has seen
	swing            = 8.5      // °F, standard deviation around the average
)

// normals is Chicago's mean temperature of each month in °F, and daily how far
// each third hour of the day lies from the day's mean.
var (
	normals = [12]float64{25, 29, 39, 50, 61, 71, 75.5, 74, 66.5, 54, 41.5, 30.5}
	daily   = [8]float64{-4.5, -6.5, -7, -1.5, 5, 8, 5.5, -0.5}
)

// Next returns the first reading after a moment in ms.
func (w *Weather) Next(after int64) event.Weather {
	after = min(max(after, w.start-1), maxTime)
	at := w.start + ((after-w.start+WeatherEvery)/WeatherEvery)*WeatherEvery
	if after < w.start {
		at = w.start
	}
	t := time.UnixMilli(at).In(cta.Location())

	// The month's mean stands for its middle, the third hour's for its start.
	month := float64(t.Month()-1) + float64(t.Day()-1)/31 - 0.5
	hourOfDay := float64(t.Hour()) + float64(t.Minute())/60
	f := wheel(normals[:], month) + wheel(daily[:], hourOfDay/3) + float64(swing*w.heat.at(at))
	f = min(max(f, coldest), hottest)

	return event.Weather{
		Timestamp:   at,
		Temperature: float32(math.Round(f*10) / 10),
		Status:      skyWord(w.cloud.at(at), w.wind.at(at)),
	}
}

func skyWord(cloud, wind float64) string {
	switch {
	case cloud > 1.1:
		return "precipitation"
	case wind > 1.25:
		return "windy"
	case cloud > 0.45:
		return "cloudy"
	case cloud > -0.35:
		return "partly_cloudy"
	}
	return "sunny"
}

// wheel interpolates values that repeat, at x.
func wheel(v []float64, x float64) float64 {
	n := float64(len(v))
	x = math.Mod(x+n, n)
	i := int(x)
	a, b := v[i], v[(i+1)%len(v)]
	return a + float64((b-a)*(x-float64(i)))
}

// memory is how many hours of shocks a drift sums up: what is older counts for
// less than 2 %.
const memory = 256

// drift is a stationary process of mean 0 and standard deviation about 1.
type drift struct {
	stream uint64
	weight [memory]float64 // of the shock of so many hours ago
}

func newDrift(seed int64, purpose uint64, keep float64) drift {
	d := drift{stream: uint64(newRNG(seed, purpose, 0))}
	w := math.Sqrt(1 - float64(keep*keep))
	for i := range d.weight {
		d.weight[i] = w
		w *= keep
	}
	return d
}

func (d *drift) at(t int64) float64 {
	h := t / hour
	a, b := d.atHour(h), d.atHour(h+1)
	return a + float64((b-a)*(float64(t%hour)/float64(hour)))
}

func (d *drift) atHour(h int64) float64 {
	var x float64
	for i := range d.weight {
		// Products are rounded before they are summed, so that every processor
		// gets the same number.
		x += float64(d.weight[i] * shock(mix(d.stream+uint64(h-int64(i))*golden)))
	}
	return x
}

// shock makes a nearly normal number of variance 1 from random bits: the sum
// of four uniform ones.
func shock(u uint64) float64 {
	sum := u&0xffff + u>>16&0xffff + u>>32&0xffff + u>>48
	return (float64(sum) - 2*0xffff) / (0x10000 * 0.5773502691896258)
}
