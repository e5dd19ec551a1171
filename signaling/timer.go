package signaling

import "time"

// timer runs a function once, under the controller's lock, unless it is stopped
// first. The controller counts it, so that Close can wait for it.
type timer struct {
	stopped bool // guarded by Controller.mu
	clock   *time.Timer
}

// after starts a timer. c.mu is held.
func (c *Controller) after(d time.Duration, f func()) *timer {
	t := &timer{}
	c.timers[t] = struct{}{}
	c.running.Add(1)
	t.clock = time.AfterFunc(d, func() {
		defer c.running.Done()
		c.mu.Lock()
		defer c.mu.Unlock()
		// It may have been stopped while it waited for the lock.
		if !t.stopped {
			delete(c.timers, t)
			f()
		}
	})
	return t
}

// stop stops a timer, which may be nil, have run, or be stopped. c.mu is held.
func (c *Controller) stop(t *timer) {
	if t == nil || t.stopped {
		return
	}
	t.stopped = true
	delete(c.timers, t)
	if t.clock.Stop() {
		c.running.Done()
	}
}
