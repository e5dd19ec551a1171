package language_test

import (
	"fmt"

	"github.com/callpath/callpath/scenarios/language"
)

// Every finding names its place, what would be valid and the nearest right word.
func ExampleParse() {
	_, err := language.Parse("meeting.yaml", []byte(`
scenario: meeting
title: Alice calls Bob
topology: fig2-intranet
participants:
  alice: {host: alice-pc}
  bob: {host: bob-pc}
steps:
  - call: {from: alcie, to: bob}
  - answer: bob
  - connect: {}
expect:
  call: connected
  rtt: "<= 150"
`))
	fmt.Println(err)
	// Output:
	// meeting.yaml:9:18: steps[0].call.from: no participant "alcie"; valid: alice, bob; did you mean "alice"?
	// meeting.yaml:14:8: expect.rtt: "150" has no unit; valid: "<= 150ms", "10ms..80ms", "0", {min: 10ms, max: 80ms}
}
