package callstate

import (
	"fmt"
	"strings"
)

// Mermaid draws the table as a Mermaid state diagram. Events that leave the
// state as it is stand in a note beside it.
func Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	fmt.Fprintf(&b, "    [*] --> %s\n", id(Idle))
	for _, s := range States() {
		var stay []string
		for _, t := range table {
			if t.From != s {
				continue
			}
			label := fmt.Sprintf("%s (%s)", t.Event, roles(t.By))
			if t.To == s {
				stay = append(stay, label)
				continue
			}
			fmt.Fprintf(&b, "    %s --> %s: %s\n", id(s), id(t.To), label)
		}
		if len(stay) > 0 {
			fmt.Fprintf(&b, "    note right of %s\n        stays: %s\n    end note\n", id(s), strings.Join(stay, ", "))
		}
	}
	fmt.Fprintf(&b, "    %s --> [*]\n", id(Ended))
	return b.String()
}

// id is a state's name as Mermaid takes it, without hyphens.
func id(s State) string { return strings.ReplaceAll(string(s), "-", "_") }

func roles(by []Role) string {
	words := make([]string, len(by))
	for i, r := range by {
		words[i] = string(r)
	}
	return strings.Join(words, " or ")
}
