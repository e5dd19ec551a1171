package report

import (
	"strings"
	"unicode/utf8"
)

// color is an ANSI colour; empty is none.
type color string

const (
	none   color = ""
	bold   color = "\x1b[1m"
	dim    color = "\x1b[2m"
	red    color = "\x1b[31m"
	green  color = "\x1b[32m"
	yellow color = "\x1b[33m"
	reset        = "\x1b[0m"
)

// cell is one value of a table.
type cell struct {
	text  string
	color color
}

func text(s string) cell { return cell{text: s} }

// table is rows of cells in columns, each as wide as its longest cell. A cell that
// does not fit into its column goes on in the lines below, so that nothing is lost.
type table struct {
	caption string
	head    []string
	rows    [][]cell
	// keep is the column that is made narrower last, after those beside it; 0 is
	// none.
	keep int
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

// tableGap is the space between columns.
const tableGap = 2

// widths measures the columns. When they are together wider than the line, the
// widest are made narrower first: down to their longest words, and where that is not
// enough, down to what still says something.
func (t *table) widths(line int) []int {
	widths := make([]int, len(t.head))
	words := make([]int, len(t.head))
	measure := func(i int, s string) {
		widths[i] = max(widths[i], utf8.RuneCountInString(s))
		for word := range strings.FieldsSeq(s) {
			words[i] = max(words[i], min(utf8.RuneCountInString(word), longWord))
		}
	}
	for i, h := range t.head {
		measure(i, h)
	}
	for _, row := range t.rows {
		for i, c := range row {
			measure(i, c.text)
		}
	}
	for _, whole := range []bool{true, false} {
		least := func(i int) int {
			if whole {
				return max(leastColumn, words[i])
			}
			return leastColumn
		}
		for sum(widths) > line {
			i := t.widest(widths, least)
			if i < 0 {
				break
			}
			widths[i]--
		}
	}
	return widths
}

// sum is the width of a line of columns.
func sum(widths []int) int {
	sum := -tableGap
	for _, w := range widths {
		sum += w + tableGap
	}
	return sum
}

const (
	// leastColumn is what is left of a column that is made narrower.
	leastColumn = 8
	// longWord is how much of a word a column keeps together while it can.
	longWord = 16
)

// widest is the column to make narrower next, -1 when there is none that is wider
// than its least width.
func (t *table) widest(widths []int, least func(int) int) int {
	best := -1
	for i, w := range widths {
		if w > least(i) && (t.keep == 0 || i != t.keep) && (best < 0 || w > widths[best]) {
			best = i
		}
	}
	if best < 0 && widths[t.keep] > least(t.keep) {
		return t.keep
	}
	return best
}

// write appends the table's lines, indented; the head is dim.
func (t *table) write(p *printer, indent int) {
	if len(t.rows) == 0 {
		return
	}
	widths := t.widths(p.width - indent)
	head := make([]cell, len(t.head))
	named := false
	for i, h := range t.head {
		head[i] = cell{h, dim}
		named = named || h != ""
	}
	rows := t.rows
	if named {
		rows = append([][]cell{head}, rows...)
	}
	for _, row := range rows {
		t.writeRow(p, indent, widths, row)
	}
}

// writeRow writes the lines of a row; the highest cell says how many.
func (t *table) writeRow(p *printer, indent int, widths []int, row []cell) {
	folded := make([][]string, len(row))
	height := 1
	for i, c := range row {
		folded[i] = wrap(c.text, widths[i])
		height = max(height, len(folded[i]))
	}
	for n := range height {
		line := strings.Repeat(" ", indent)
		for i, c := range row {
			part := ""
			if n < len(folded[i]) {
				part = folded[i][n]
			}
			line += p.paint(c.color, part)
			if i < len(row)-1 {
				line += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(part)+tableGap)
			}
		}
		p.line("%s", strings.TrimRight(line, " "))
	}
}

// wrap breaks text at spaces; a word that is longer than the line is broken where
// its parts end, or else anywhere.
func wrap(s string, columns int) []string {
	columns = max(columns, 1)
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		for utf8.RuneCountInString(word) > columns {
			runes := []rune(word)
			if line != "" {
				lines, line = append(lines, line), ""
			}
			end := columns
			if i := strings.LastIndexAny(string(runes[:columns]), "_-/,="); i > 0 {
				end = utf8.RuneCountInString(string(runes[:columns])[:i+1])
			}
			lines, word = append(lines, string(runes[:end])), string(runes[end:])
		}
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
