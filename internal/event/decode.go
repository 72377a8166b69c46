package event

// placeTime reads the key of an arrival or an entry.
func (d *Decoder) placeTime(k kind, key []byte) (station int32, ts int64, err error) {
	b, err := d.body(k, key)
	if err != nil {
		return 0, 0, err
	}
	c := cursor{b: b}
	station, ts = c.int32(), c.long()
	return station, ts, c.err()
}

// same refuses a record whose key and value speak of different stations.
func same(key, value int32) error {
	if key != value {
		return poisonf("the key is of station %d, the value of %d", key, value)
	}
	return nil
}

// Arrival reads an arrival: key, value and the header [HeaderPattern].
func (d *Decoder) Arrival(r *Record, a *Arrival) error {
	if err := d.arrival(r, a); err != nil {
		return wrap("arrival", r, err)
	}
	return nil
}

func (d *Decoder) arrival(r *Record, a *Arrival) error {
	station, ts, err := d.placeTime(arrivalKey, r.Key)
	if err != nil {
		return err
	}
	b, err := d.body(arrivalValue, r.Value)
	if err != nil {
		return err
	}
	c, in, last := cursor{b: b}, &d.words, &d.last
	*a = Arrival{Timestamp: ts}
	a.StationID = c.int32()
	a.TrainID = c.word(in, &last.train)
	a.Direction = c.word(in, &last.dir)
	a.Line = c.word(in, &last.line)
	a.TrainStatus = c.word(in, &last.status)
	if c.some() {
		a.PrevStationID = c.int32()
	}
	if c.some() {
		a.PrevDirection = c.word(in, &last.prevDir)
	}
	if err := c.err(); err != nil {
		return err
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		if h.Key != HeaderPattern || len(h.Value) > maxText {
			continue
		}
		if string(h.Value) != last.pattern {
			s, ok := in.get(h.Value)
			if !ok {
				return poisonf("header %s is not UTF-8", HeaderPattern)
			}
			last.pattern = s
		}
		a.Pattern = last.pattern
	}
	return same(station, a.StationID)
}

// Turnstile reads an entry: key and value.
func (d *Decoder) Turnstile(r *Record, t *Turnstile) error {
	if err := d.turnstile(r, t); err != nil {
		return wrap("turnstile entry", r, err)
	}
	return nil
}

func (d *Decoder) turnstile(r *Record, t *Turnstile) error {
	station, ts, err := d.placeTime(turnstileKey, r.Key)
	if err != nil {
		return err
	}
	b, err := d.body(turnstileValue, r.Value)
	if err != nil {
		return err
	}
	c := cursor{b: b}
	t.Timestamp = ts
	t.StationID = c.int32()
	t.StationName = c.word(&d.words, &d.last.name)
	t.Line = c.word(&d.words, &d.last.turnstileLine)
	if err := c.err(); err != nil {
		return err
	}
	return same(station, t.StationID)
}

// value opens the value of a record of kind k.
func (d *Decoder) value(k kind, r *Record) (cursor, error) {
	b, err := d.body(k, r.Value)
	return cursor{b: b}, err
}

// Weather reads a reading: key and value.
func (d *Decoder) Weather(r *Record, w *Weather) error {
	if err := d.weather(r, w); err != nil {
		return wrap("weather", r, err)
	}
	return nil
}

func (d *Decoder) weather(r *Record, w *Weather) error {
	b, err := d.body(weatherKey, r.Key)
	if err != nil {
		return err
	}
	c := cursor{b: b}
	ts := c.long()
	if err := c.err(); err != nil {
		return err
	}
	if c, err = d.value(weatherValue, r); err != nil {
		return err
	}
	*w = Weather{Timestamp: ts, Temperature: c.float(), Status: c.word(&d.words, &d.last.weather)}
	return c.err()
}

// Train reads where a train is. A tombstone gives a train out of service of
// which only the id is known.
func (d *Decoder) Train(r *Record, t *Train) error {
	if err := d.train(r, t); err != nil {
		return wrap("train", r, err)
	}
	return nil
}

func (d *Decoder) train(r *Record, t *Train) error {
	in, last := &d.words, &d.last
	if r.Value == nil {
		b, err := d.body(trainKey, r.Key)
		if err != nil {
			return err
		}
		c := cursor{b: b}
		*t = Train{TrainID: c.word(in, &last.train), Status: OutOfService, Call: -1, NextCall: -1}
		return c.err()
	}
	c, err := d.value(trainValue, r)
	if err != nil {
		return err
	}
	*t = Train{}
	t.TrainID = c.word(in, &last.train)
	t.Line = c.word(in, &last.line)
	t.Pattern = c.word(in, &last.pattern)
	t.Call = c.int32()
	t.StationID = c.int32()
	t.Direction = c.word(in, &last.dir)
	t.Status = c.word(in, &last.status)
	t.ArrivedAt, t.DepartAt = c.long(), c.long()
	t.NextCall = c.int32()
	t.DueAt = c.long()
	t.DelayS = c.int32()
	t.Late = c.long()
	t.Source = d.source(&c)
	return c.err()
}

func (d *Decoder) source(c *cursor) Source {
	s := Source{Topic: c.word(&d.words, &d.last.topic)}
	s.Partition = c.int32()
	s.Offset, s.Appended = c.long(), c.long()
	return s
}

// maxHeadways bounds the headways of one line: directions, and room for more.
const maxHeadways = 64

// Line reads how a line is running. It appends to l.Headways[:0]: whoever keeps
// them decodes into another LineStatus next.
func (d *Decoder) Line(r *Record, l *LineStatus) error {
	if err := d.line(r, l); err != nil {
		return wrap("line status", r, err)
	}
	return nil
}

func (d *Decoder) line(r *Record, l *LineStatus) error {
	c, err := d.value(lineValue, r)
	if err != nil {
		return err
	}
	in, last := &d.words, &d.last
	*l = LineStatus{Headways: l.Headways[:0]}
	l.Line, l.Status, l.Reason = c.word(in, &last.line), c.word(in, &last.lineStatus), c.word(in, &last.reason)
	l.Trains = c.int32()
	const least = 3 // bytes of an item
	for n := c.count(least, 0, maxHeadways); n > 0; n = c.count(least, len(l.Headways), maxHeadways) {
		for range n {
			l.Headways = append(l.Headways, Headway{Direction: c.word(in, &last.dir), Observed: c.int32(), Scheduled: c.int32()})
		}
	}
	l.UpdatedAt, l.Late = c.long(), c.long()
	l.Source = d.source(&c)
	return c.err()
}

// Window reads the entries of a station in a window.
func (d *Decoder) Window(r *Record, w *Window) error {
	c, err := d.value(windowValue, r)
	if err == nil {
		*w = Window{StationID: c.int32(), Start: c.long(), End: c.long(), Count: c.long()}
		err = c.err()
	}
	if err != nil {
		return wrap("window", r, err)
	}
	return nil
}

// Clock reads the city's clock.
func (d *Decoder) Clock(r *Record, k *Clock) error {
	if err := d.clock(r, k); err != nil {
		return wrap("city clock", r, err)
	}
	return nil
}

func (d *Decoder) clock(r *Record, k *Clock) error {
	c, err := d.value(clockValue, r)
	if err != nil {
		return err
	}
	*k = Clock{}
	k.CityTime, k.WallTime = c.long(), c.long()
	k.Speed, k.Paused = c.double(), c.bool()
	k.Seed, k.Start = c.long(), c.long()
	k.Incidents = c.word(&d.words, &d.last.incidents)
	k.WeatherSent = c.long()
	return c.err()
}

// Command reads a command to the city.
func (d *Decoder) Command(r *Record, m *Command) error {
	c, err := d.value(commandValue, r)
	if err == nil {
		c.command(m)
		err = c.err()
	}
	if err != nil {
		return wrap("command", r, err)
	}
	return nil
}

func (c *cursor) command(m *Command) {
	*m = Command{ID: c.text(), IssuedAt: c.long()}
	if c.some() {
		v := c.double()
		m.Speed = &v
	}
	if c.some() {
		v := c.bool()
		m.Paused = &v
	}
	if c.some() {
		m.Incident = &Incident{Kind: c.text(), Line: c.text(), TrainID: c.text(), StationID: c.int32(), Direction: c.text(), Minutes: c.int32()}
	}
}
