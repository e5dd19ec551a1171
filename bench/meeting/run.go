package meeting

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errInterrupted ends a run whose context has ended.
var errInterrupted = errors.New("the run was interrupted")

// Run makes the load and measures. A report comes also with an error that ended the run,
// with what was found by then; it is nil when there is nothing to tell. When ctx ends, the
// run ends in order, and the report says that it was interrupted. An error names what is
// wrong with an option, or with what the load needs.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if o, err = o.complete(); err != nil {
		return nil, err
	}
	tell := o.OnProgress
	if tell == nil {
		tell = func(Progress) {}
	}
	tell(Progress{Doing: "starting", Of: o.Participants})
	report = &Report{Options: o, Began: time.Now().UTC(), Server: "the load's own, on loopback"}
	if o.Server != nil {
		report.Server = o.Server.URL
	}
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		tell(Progress{Doing: "leaving", Done: o.Participants, Of: o.Participants})
		err = errors.Join(err, s.close())
	}()
	if o.FindKnee {
		err = s.search(ctx, report, tell)
	} else {
		var step Step
		if step, err = s.try(ctx, o.Participants, tell); step.Duration > 0 {
			report.Steps = append(report.Steps, step)
		}
	}
	report.Joins = s.joins()
	report.Criteria = []Criterion{{
		Name: "joins", Wanted: fmt.Sprint(report.Joins.Asked), Seen: fmt.Sprint(report.Joins.Joined),
		Met: report.Joins.Joined >= report.Joins.Asked,
	}}
	if errors.Is(err, errInterrupted) || ctx.Err() != nil {
		report.Interrupted, err = true, nil
	}
	return report, err
}

// try has so many participants be there, and measures.
func (s *session) try(ctx context.Context, participants int, tell func(Progress)) (Step, error) {
	s.shrink(ctx, participants)
	of := participants - len(s.people)
	s.grow(ctx, participants, func(done int) { tell(Progress{Doing: "joining", Done: done, Of: of}) })
	if ctx.Err() != nil {
		return Step{}, errInterrupted
	}
	if len(s.people) == 0 {
		return Step{}, nil // the report says why
	}
	return s.measure(ctx, tell)
}
