package store

import (
	"sync"

	"go.etcd.io/bbolt"
)

// line is where changes wait for the commit under way; all that wait share the next.
type line struct {
	wake    chan struct{} // holds one: there is something in next
	stopped chan struct{} // closed by the committing goroutine at its end

	mu   sync.Mutex
	next *batch // nil when nobody waits
}

// batch is what one commit makes durable.
type batch struct {
	changes []sealed
	done    chan struct{} // closed when err is final
	err     error
}

// start begins to commit, in a goroutine that stop ends.
func (l *line) start(commit func([]sealed) error) {
	l.wake, l.stopped = make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(l.stopped)
		for range l.wake {
			l.mu.Lock()
			b := l.next
			l.next = nil
			l.mu.Unlock()
			if b != nil {
				b.err = commit(b.changes)
				close(b.done)
			}
		}
	}()
}

// add puts changes in line.
func (l *line) add(changes []sealed) *batch {
	l.mu.Lock()
	if l.next == nil {
		l.next = &batch{done: make(chan struct{})}
	}
	b := l.next
	b.changes = append(b.changes, changes...)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // it will wake anyway
	}
	return b
}

// drain waits until all that is in line was committed. Nobody adds meanwhile.
func (l *line) drain() { <-l.add(nil).done }

// stop drains the line and ends the goroutine. Nobody adds any more.
func (l *line) stop() {
	l.drain()
	close(l.wake)
	<-l.stopped
}

// Begin puts changes in line, to be made together or not at all. They are made in the
// order of the calls. done waits until they are durable; it may be called by any
// goroutine, any number of times, or not at all.
func (f *File) Begin(changes ...Change) (done func() error) {
	failed := func(err error) func() error {
		err = f.wrap(err)
		return func() error { return err }
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return failed(ErrClosed)
	}
	all := make([]sealed, 0, len(changes))
	for _, c := range changes {
		if err := c.check(); err != nil {
			return failed(err)
		}
		s, err := f.sealer.seal(c)
		if err != nil {
			return failed(err)
		}
		all = append(all, s)
	}
	b := f.line.add(all)
	return func() error {
		<-b.done
		if b.err != nil {
			return f.wrap(b.err)
		}
		return nil
	}
}

// commit makes changes durable; it is called by one goroutine.
func (f *File) commit(changes []sealed) error {
	if len(changes) == 0 {
		return nil
	}
	return f.bolt.update(func(tx *bbolt.Tx) error { return put(tx, changes) })
}

func put(tx *bbolt.Tx, changes []sealed) error {
	for _, c := range changes {
		b, err := tx.CreateBucketIfNotExists(c.bucket)
		if err != nil {
			return err
		}
		if c.value == nil {
			err = b.Delete(c.record)
		} else {
			err = b.Put(c.record, c.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Write makes changes together, and returns when they are durable.
func (f *File) Write(changes ...Change) error { return f.Begin(changes...)() }

// Save saves a record and returns when it is durable.
func (f *File) Save(bucket, key string, value []byte) error {
	return f.Write(Change{Name: Name{Bucket: bucket, Key: key}, Value: value})
}

// Delete deletes a record, if there is one, and returns when that is durable.
func (f *File) Delete(bucket, key string) error {
	return f.Write(Change{Name: Name{Bucket: bucket, Key: key}, Delete: true})
}
