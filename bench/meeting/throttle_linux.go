package meeting

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// throttle holds a process to a share of the time by stopping it and letting it go on, as
// cpulimit(1) does.
type throttle struct {
	pid     int
	done    chan struct{}
	running sync.WaitGroup
	once    sync.Once
}

// throttleTurn is the time of which a process gets its share.
const throttleTurn = 50 * time.Millisecond

// startThrottle begins to hold back a process that is this one's child.
func startThrottle(pid int, share float64) (*throttle, error) {
	if err := unix.Kill(pid, 0); err != nil {
		return nil, fmt.Errorf("hold back process %d: %w", pid, err)
	}
	t := &throttle{pid: pid, done: make(chan struct{})}
	t.running.Go(func() { t.run(share) })
	return t, nil
}

func (t *throttle) run(share float64) {
	works := time.Duration(share * float64(throttleTurn))
	wait := func(d time.Duration) bool {
		select {
		case <-time.After(d):
			return true
		case <-t.done:
			return false
		}
	}
	for wait(works) && unix.Kill(t.pid, unix.SIGSTOP) == nil && wait(throttleTurn-works) && unix.Kill(t.pid, unix.SIGCONT) == nil {
	}
	_ = unix.Kill(t.pid, unix.SIGCONT) // it may have ended
}

// stop lets the process go on. It does nothing when t is nil, or has been stopped.
func (t *throttle) stop() {
	if t == nil {
		return
	}
	t.once.Do(func() { close(t.done) })
	t.running.Wait()
}
