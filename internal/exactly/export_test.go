package exactly

import "time"

// WatchEvery sets how often the ends of the input are looked up.
func (c Config) WatchEvery(d time.Duration) Config {
	c.watchEvery = d
	return c
}
