package store

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
)

// Memory is a store that forgets with the process, for tests and scenarios. It is safe
// for concurrent use; the zero Memory is empty and ready.
type Memory struct {
	mu     sync.RWMutex
	values map[Name][]byte
	// numbers has those of a sequence, in order, by its name without number.
	numbers map[Name][]uint64
}

// Begin makes changes at once; see File.Begin.
func (m *Memory) Begin(changes ...Change) (done func() error) {
	for _, c := range changes {
		if err := c.check(); err != nil {
			return func() error { return fmt.Errorf("store: %w", err) }
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values, m.numbers = map[Name][]byte{}, map[Name][]uint64{}
	}
	for _, c := range changes {
		if c.Delete {
			delete(m.values, c.Name)
		} else {
			m.values[c.Name] = append([]byte{}, c.Value...)
		}
		m.number(c)
	}
	return func() error { return nil }
}

// number keeps the numbers of a sequence.
func (m *Memory) number(c Change) {
	if c.Number == 0 {
		return
	}
	whole := Name{Bucket: c.Bucket, Key: c.Key}
	all := m.numbers[whole]
	i, found := slices.BinarySearch(all, c.Number)
	switch {
	case c.Delete && found:
		all = slices.Delete(all, i, i+1)
	case !c.Delete && !found:
		all = slices.Insert(all, i, c.Number)
	}
	m.numbers[whole] = all
}

// Write makes changes together.
func (m *Memory) Write(changes ...Change) error { return m.Begin(changes...)() }

// Save saves a record.
func (m *Memory) Save(bucket, key string, value []byte) error {
	return m.Write(Change{Name: Name{Bucket: bucket, Key: key}, Value: value})
}

// Delete deletes a record, if there is one.
func (m *Memory) Delete(bucket, key string) error {
	return m.Write(Change{Name: Name{Bucket: bucket, Key: key}, Delete: true})
}

// Get returns a record's value, which is the caller's, or ErrNotFound.
func (m *Memory) Get(n Name) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.values[n]
	if !ok {
		return nil, fmt.Errorf("store: record %s: %w", n, ErrNotFound)
	}
	return bytes.Clone(value), nil
}

// Each calls do for the records of a bucket; see File.Each.
func (m *Memory) Each(bucket string, do func(key string, value []byte) error) error {
	var records []Record
	m.mu.RLock()
	for n, value := range m.values {
		if n.Bucket == bucket && n.Number == 0 {
			records = append(records, Record{n, bytes.Clone(value)})
		}
	}
	m.mu.RUnlock()
	for _, r := range records {
		if err := do(r.Key, r.Value); err != nil {
			return err
		}
	}
	return nil
}

// Sequence returns records of a sequence; see File.Sequence.
func (m *Memory) Sequence(bucket, key string, from uint64, limit int, backwards bool) ([]Record, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := m.numbers[Name{Bucket: bucket, Key: key}]
	i, found := slices.BinarySearch(all, from)
	step := 1
	if backwards {
		if step = -1; !found {
			i--
		}
	}
	var records []Record
	for ; 0 <= i && i < len(all) && len(records) < limit; i += step {
		n := Name{bucket, key, all[i]}
		records = append(records, Record{n, bytes.Clone(m.values[n])})
	}
	return records, nil
}
