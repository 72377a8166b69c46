// Package sim is the city: a deterministic discrete-event simulation of trains,
// riders and weather. The same seed, start and network give the same events,
// byte for byte, however the time is cut into steps. It does no I/O and reads
// no clock.
package sim
