package forward

import (
	"sync"
	"sync/atomic"
)

// source is what a worker waits for: a descriptor with something to read.
type source interface {
	// ready reads some of what there is, into the worker's inbox.
	ready(w *worker)
}

// directory finds sources by descriptor. Reading takes no lock. A descriptor that
// has been closed and opened again may be told of what the old one had: reading
// finds nothing then.
type directory struct {
	pages [maxPages]atomic.Pointer[page]
	mu    sync.Mutex // for making pages
}

const (
	pageSize = 1024
	maxPages = 1024 // a million descriptors
)

type page [pageSize]atomic.Pointer[source]

func (d *directory) get(fd int) source {
	if p := d.pages[fd/pageSize].Load(); p != nil {
		if s := p[fd%pageSize].Load(); s != nil {
			return *s
		}
	}
	return nil
}

// set puts a source, or nil, in place of fd. It says no when fd is too high.
func (d *directory) set(fd int, s source) bool {
	if fd >= pageSize*maxPages {
		return false
	}
	at := &d.pages[fd/pageSize]
	d.mu.Lock()
	if at.Load() == nil {
		at.Store(new(page))
	}
	d.mu.Unlock()
	if s == nil {
		at.Load()[fd%pageSize].Store(nil)
	} else {
		at.Load()[fd%pageSize].Store(&s)
	}
	return true
}
