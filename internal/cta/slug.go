package cta

import "strings"

// Slug returns a station's name as it stands in topic names, by the rule of
// the original assignment: lower case, "/" becomes "_and_", space and "-"
// become "_", the apostrophe goes ("O'Hare" is "ohare", "Clark/Lake" is
// "clark_and_lake"). Anything else that Kafka does not allow in a topic name
// goes too, so that no name can make an illegal topic.
func Slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r == '/':
			b.WriteString("_and_")
		case r == ' ' || r == '-':
			b.WriteByte('_')
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '.':
			b.WriteRune(r)
		}
	}
	return b.String()
}
