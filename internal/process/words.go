package process

import (
	"fmt"
	"strings"

	"ell/internal/cta"
)

// bound says where a direction goes, as riders say it: "Howard-bound".
func (l *lineInfo) bound(d cta.Direction) string {
	to := l.toward[d]
	if to == "" || strings.HasSuffix(to, "bound") {
		return to
	}
	return to + "-bound"
}

// one puts the article before words that begin a sentence: "A Howard-bound", "An O'Hare-bound".
func one(words string) string {
	if words != "" && strings.ContainsRune("AEIOU", rune(words[0])) {
		return "An " + words
	}
	return "A " + words
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

func minutes(seconds int32) int32 { return max(1, (seconds+30)/60) }

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

func count(n int) string {
	if n < 10 {
		return [...]string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}[n]
	}
	return fmt.Sprint(n)
}

func clipText(s string) string {
	if len(s) > reasonLength {
		return strings.ToValidUTF8(s[:reasonLength], "")
	}
	return s
}
