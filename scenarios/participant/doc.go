// Package participant is a person's client in a call: it signs in, calls or
// answers, gathers candidates, sends real encoded media at the pace of a real
// client, and measures what it receives.
package participant
