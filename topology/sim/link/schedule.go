package link

import (
	"sync"
	"time"
)

// Schedule holds items and hands each to a function when its time has come. All
// are handed over by one goroutine, in the order of their times, and of Add among
// equal times. Run is that goroutine.
type Schedule[T any] struct {
	deliver func(T)
	now     func() time.Time
	wake    chan struct{} // tells Run that the earliest time has changed

	mu    sync.Mutex
	heap  []entry[T] // a binary heap, earliest first
	count uint64
}

type entry[T any] struct {
	at    time.Time
	order uint64
	item  T
}

// NewSchedule makes a schedule that hands items to deliver, which may call Add.
func NewSchedule[T any](now func() time.Time, deliver func(T)) *Schedule[T] {
	return &Schedule[T]{deliver: deliver, now: now, wake: make(chan struct{}, 1)}
}

// Add holds an item until a time. It does not block.
func (s *Schedule[T]) Add(at time.Time, item T) {
	s.mu.Lock()
	s.count++
	s.heap = append(s.heap, entry[T]{at, s.count, item})
	s.up(len(s.heap) - 1)
	first := s.heap[0].order == s.count
	s.mu.Unlock()
	if first {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Run hands items over until stop is closed. What is held then is forgotten.
func (s *Schedule[T]) Run(stop <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		default:
		}
		item, wait, ok := s.next()
		if ok {
			s.deliver(item)
			continue
		}
		timer.Reset(wait)
		select {
		case <-stop:
			return
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// next takes out the earliest item when its time has come, and otherwise says how
// long that is away.
func (s *Schedule[T]) next() (item T, wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heap) == 0 {
		return item, time.Hour, false
	}
	if wait = s.heap[0].at.Sub(s.now()); wait > 0 {
		return item, wait, false
	}
	item = s.heap[0].item
	last := len(s.heap) - 1
	s.heap[0] = s.heap[last]
	s.heap[last] = entry[T]{} // let go of the item
	s.heap = s.heap[:last]
	s.down(0)
	return item, 0, true
}

func (s *Schedule[T]) less(a, b int) bool {
	x, y := &s.heap[a], &s.heap[b]
	if x.at.Equal(y.at) {
		return x.order < y.order
	}
	return x.at.Before(y.at)
}

func (s *Schedule[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !s.less(i, parent) {
			return
		}
		s.heap[i], s.heap[parent] = s.heap[parent], s.heap[i]
		i = parent
	}
}

func (s *Schedule[T]) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.heap); child++ {
			if s.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		s.heap[i], s.heap[least] = s.heap[least], s.heap[i]
		i = least
	}
}
