// Package expect compares a run with what its scenario expects of it.
package expect

import (
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/result"
)

// Check evaluates every expectation of s against r, in file order.
func Check(s *language.Scenario, r *result.Run) []result.Expectation { return nil }
