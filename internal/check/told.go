package check

import "io"

// told is what a body says, on one line.
func told(body io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(body, 4<<10))
	if err != nil || len(text) == 0 {
		return ""
	}
	return ": " + oneLine(string(text))
}
