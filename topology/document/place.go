package document

import (
	"strconv"
	"strings"
)

// find follows path from the root: keys joined by dots, items by their index in
// brackets, for example "steps[2].call". Keys may hold dots themselves. It returns
// the node, or the nearest existing ancestor and false; line and column are the
// place to point at.
func (d *Document) find(path string) (n *node, line, column int, found bool) {
	n = d.root
	line, column = n.line, n.column
	for path != "" {
		next, at, rest, ok := n.step(path)
		if !ok {
			return n, line, column, false
		}
		n, path = next, rest
		line, column = at.line, at.column
	}
	return n, line, column, true
}

// step goes one key or index down.
func (n *node) step(path string) (next, at *node, rest string, ok bool) {
	if index, rest, ok := cutIndex(path); ok {
		if n.kind != sequence || index >= len(n.items) {
			return nil, nil, "", false
		}
		return n.items[index], n.items[index], strings.TrimPrefix(rest, "."), true
	}
	if n.kind != mapping {
		return nil, nil, "", false
	}
	best := -1
	for i, e := range n.entries {
		after, has := strings.CutPrefix(path, e.key)
		if !has || (after != "" && after[0] != '.' && after[0] != '[') {
			continue
		}
		if best < 0 || len(e.key) > len(n.entries[best].key) {
			best = i
		}
	}
	if best < 0 {
		return nil, nil, "", false
	}
	e := n.entries[best]
	at = e.value
	if e.value.kind == mapping || e.value.kind == sequence {
		// A block is best pointed at by its key.
		at = &node{line: e.line, column: e.column}
	}
	return e.value, at, strings.TrimPrefix(path[len(e.key):], "."), true
}

// cutIndex splits "[2].call" into 2 and ".call".
func cutIndex(path string) (index int, rest string, ok bool) {
	if !strings.HasPrefix(path, "[") {
		return 0, "", false
	}
	digits, rest, ok := strings.Cut(path[1:], "]")
	if !ok {
		return 0, "", false
	}
	i, err := strconv.ParseUint(digits, 10, 31)
	return int(i), rest, err == nil
}

// Has says whether there is a value at path.
func (d *Document) Has(path string) bool {
	_, _, _, ok := d.find(path)
	return ok
}

// At is where the value at path stands, a mapping or a list where its key does;
// for a path that does not exist, where its nearest existing ancestor stands.
func (d *Document) At(path string) (line, column int) {
	_, line, column, _ = d.find(path)
	return line, column
}

// Keys returns the keys of the mapping at path, in the file's order; nil when
// there is none.
func (d *Document) Keys(path string) []string {
	n, _, _, ok := d.find(path)
	if !ok || n.kind != mapping {
		return nil
	}
	keys := make([]string, len(n.entries))
	for i, e := range n.entries {
		keys[i] = e.key
	}
	return keys
}

// Len is the number of items of the list at path; 0 when there is none.
func (d *Document) Len(path string) int {
	n, _, _, ok := d.find(path)
	if !ok {
		return 0
	}
	return len(n.items)
}

// Text is the single value at path as it was written, without quotes; false when
// there is none, or it is a mapping, a list or null.
func (d *Document) Text(path string) (string, bool) {
	n, _, _, ok := d.find(path)
	if !ok || n.kind == mapping || n.kind == sequence || n.kind == null {
		return "", false
	}
	return n.text, true
}
