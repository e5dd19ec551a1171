package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/scenarios/runner"
)

// progress shows how runs go on: bars in a terminal, a line for each run that has
// ended otherwise, nothing when quiet.
type progress struct {
	quiet bool
	bars  *mpb.Progress

	mu    sync.Mutex
	w     io.Writer
	ended int
	of    int
}

func newProgress(w io.Writer, runs int, quiet bool) *progress {
	p := &progress{w: w, quiet: quiet, of: runs}
	if !quiet && isTerminal(w) {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(120*time.Millisecond))
	}
	return p
}

func (p *progress) close() {
	if p.bars != nil {
		p.bars.Wait()
	}
}

// runProgress is that of one run.
type runProgress struct {
	of   *progress
	name string
	bar  *mpb.Bar

	mu    sync.Mutex
	doing string
}

func (p *progress) begin(name string) *runProgress {
	r := &runProgress{of: p, name: name, doing: "starting"}
	if p.bars != nil {
		// A bar without a total does not end by itself.
		r.bar = p.bars.AddBar(0, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
				r.mu.Lock()
				defer r.mu.Unlock()
				return r.doing
			}), decor.Elapsed(decor.ET_STYLE_GO, decor.WCSyncSpace)))
	}
	return r
}

// step is the runner's OnProgress.
func (r *runProgress) step(p runner.Progress) {
	r.mu.Lock()
	r.doing = p.Doing
	r.mu.Unlock()
	if r.bar != nil {
		r.bar.SetTotal(int64(p.Steps)+1, false)
		r.bar.SetCurrent(int64(p.Done))
	}
}

func (r *runProgress) end(run *result.Run) {
	if r.bar != nil {
		r.bar.SetTotal(-1, true)
		return
	}
	p := r.of
	if p.quiet || p.of < 2 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended++
	word := "met"
	switch {
	case run.Error != "":
		word = "fault"
	case !run.Met():
		word = "NOT MET"
	}
	fmt.Fprintf(p.w, "[%d/%d] %-8s %s (%.1f s)\n", p.ended, p.of, word, r.name, time.Duration(run.Duration).Seconds())
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalWidth is the width in columns, or 100 where there is no terminal.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 100
}

// colored is true in a terminal whose user has not asked for none (no-color.org).
func colored(w io.Writer) bool { return isTerminal(w) && os.Getenv("NO_COLOR") == "" }
