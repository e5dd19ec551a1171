// Package report tells what a benchmark found: as tables for people (Text), as JSON
// for programs, and as one HTML page with plots that needs nothing else.
package report
