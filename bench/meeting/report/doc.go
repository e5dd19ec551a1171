// Package report tells what package meeting has found: as text, as one self-contained HTML
// page, and as JSON. All three say the same; text and page are made from the same tables
// (tables.go).
package report
