// Package language is the scenario file: its data model, its loader with errors
// that name file, line, column and what would be valid, and its published JSON
// Schema. It runs nothing; package runner does.
//
// Start reading at Scenario.
package language
