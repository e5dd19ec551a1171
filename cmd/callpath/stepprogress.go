package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// stepProgress shows how far something of many steps is: a bar in a terminal, a line now
// and then otherwise, nothing when quiet. One goroutine at a time uses it.
type stepProgress struct {
	w     io.Writer
	quiet bool
	bars  *mpb.Progress
	bar   *mpb.Bar
	last  time.Time

	mu    sync.Mutex // for the bar, which is drawn by its own goroutine
	doing string
}

func newStepProgress(w io.Writer, quiet bool) *stepProgress {
	p := &stepProgress{w: w, quiet: quiet}
	if !quiet && isTerminal(w) {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(120*time.Millisecond))
		p.bar = p.bars.AddBar(1, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.CountersNoUnit("%d/%d", decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
				p.mu.Lock()
				defer p.mu.Unlock()
				return p.doing
			}), decor.Elapsed(decor.ET_STYLE_GO, decor.WCSyncSpace)))
	}
	return p
}

// step shows that done of so many steps are done, and what goes on. Where there is no
// bar, what is new does not wait for its turn.
func (p *stepProgress) step(done, of int, doing string, isNew bool) {
	p.mu.Lock()
	p.doing = doing
	p.mu.Unlock()
	if p.bar != nil {
		p.bar.SetTotal(int64(of)+1, false)
		p.bar.SetCurrent(int64(done))
		return
	}
	const every = 2 * time.Second
	if p.quiet || time.Since(p.last) < every && !isNew {
		return
	}
	p.last = time.Now()
	fmt.Fprintf(p.w, "[%d/%d] %s\n", done, of, doing)
}

func (p *stepProgress) close() {
	if p.bar != nil {
		p.bar.SetTotal(-1, true)
		p.bars.Wait()
	}
}
