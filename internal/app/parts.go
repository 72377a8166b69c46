package app

// parts are the roles that run in the same process as the website, nil where
// they run elsewhere.
type parts struct {
	city      *city
	processor *processor
	embedded  bool
}

// unready says what the website still waits for.
func (p *platform) unready(s *site, beside parts) []string {
	var out []string
	if !s.pump.CaughtUp() {
		out = append(out, "the board has not caught up with the log")
	}
	if beside.processor != nil {
		for _, r := range beside.processor.stages {
			if st := r.Stats(); !st.CaughtUp {
				out = append(out, "stage "+r.name+" has not caught up with its input")
			}
		}
	}
	return out
}

// system is what /api/v1/system tells of the parts.
func (b parts) system(s *site) any {
	doc := map[string]any{}
	lag, behind := s.follower.Lag()
	doc["board"] = map[string]any{"lag_records": lag, "lag_ms": behind.Milliseconds()}
	if b.city != nil {
		st := b.city.sim.Stats()
		doc["city"] = map[string]any{
			"time_ms": st.Clock.CityTime, "speed": st.Clock.Speed, "paused": st.Clock.Paused, "seed": st.Clock.Seed,
			"events": st.Events, "transactions": st.Transactions, "restarts": st.Restarts, "behind_s": st.Behind,
			"weather": b.city.device.Stats(),
		}
	}
	if b.processor != nil {
		stages := map[string]any{}
		for _, r := range b.processor.stages {
			st := r.Stats()
			stages[r.name] = map[string]any{
				"committed": st.Committed, "aborted": st.Aborted, "records_in": st.In, "records_out": st.Out,
				"dead_letters": st.DeadLetters, "restarts": st.Restarts, "missed": st.Missed,
				"lag_records": st.Lag, "lag_ms": st.Behind.Milliseconds(), "commit_ms": float64(st.CommitTook.Microseconds()) / 1000,
				"restored": st.Restored, "restore_ms": st.RestoreTook.Milliseconds(), "caught_up": st.CaughtUp,
				"partitions": len(st.Partitions), "hanging_ms": st.HangingFor.Milliseconds(),
			}
		}
		doc["stages"] = stages
	}
	return doc
}
