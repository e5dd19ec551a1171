package server

import (
	"strconv"
	"testing"
)

func TestLabelsAreBounded(t *testing.T) {
	var b bounded
	seen := map[string]bool{}
	for i := range 10 * maxRules {
		seen[b.value(strconv.Itoa(i))] = true
	}
	if len(seen) != maxRules+1 || !seen["other"] {
		t.Errorf("%d values of a label, wanted %d and other", len(seen), maxRules)
	}
	if b.value("3") != "3" {
		t.Error("a value that was there is another now")
	}
}
