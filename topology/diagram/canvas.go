package diagram

import (
	"strings"
	"unicode/utf8"
)

// canvas is a drawing of characters, each one column wide.
type canvas struct{ rows [][]rune }

// put writes text over what is there; what would be left of the canvas is cut off.
func (c *canvas) put(x, y int, text string) {
	for len(c.rows) <= y {
		c.rows = append(c.rows, nil)
	}
	for _, r := range text {
		if x >= 0 {
			for len(c.rows[y]) <= x {
				c.rows[y] = append(c.rows[y], ' ')
			}
			c.rows[y][x] = r
		}
		x++
	}
}

// String is the drawing, without spaces at the ends of lines.
func (c *canvas) String() string {
	var b strings.Builder
	for _, row := range c.rows {
		b.WriteString(strings.TrimRight(string(row), " ") + "\n")
	}
	return b.String()
}

// clip cuts text to a number of columns.
func clip(text string, columns int) string {
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	if columns < 1 {
		return ""
	}
	return string([]rune(text)[:columns-1]) + "…"
}

// pad fills text up to a number of columns.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-utf8.RuneCountInString(text)))
}

// wrap breaks text at spaces.
func wrap(text string, columns int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
