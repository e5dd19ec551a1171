package meeting

import "context"

// The search for the knee: up by half each time, then closer by halves until the step is
// less than this share of what is there.
const (
	kneeShare = 0.1
	kneeRaise = 1.5
)

// search raises the number of participants until a criterion breaks, and closes in on
// where that was. One step that breaks may be the machine's fault: it counts when it
// breaks again.
func (s *session) search(ctx context.Context, report *Report, tell func(Progress)) error {
	o := s.options
	k := &Knee{}
	report.Knee = k
	for n := o.Participants; n > 0; n = next(k, n, o) {
		good, step, err := s.holds(ctx, n, report, tell)
		if err != nil {
			return err
		}
		if good {
			k.Participants = n
			continue
		}
		k.Broken, k.Criteria, k.Saturated = n, unmet(step.Criteria), step.Saturated
		if s.joined < s.asked {
			break // those who are missing would be missing in every other step
		}
	}
	return nil
}

// next is the number to try after n, 0 when the knee is known.
func next(k *Knee, n int, o Options) int {
	switch {
	case k.Broken == 0 && n >= o.MaxParticipants:
		return 0
	case k.Broken == 0:
		return min(o.MaxParticipants, max(n+1, int(float64(n)*kneeRaise)))
	case k.Participants == 0:
		return 0 // broken from the beginning
	case k.Broken-k.Participants <= max(1, int(kneeShare*float64(k.Participants))):
		return 0
	}
	return (k.Participants + k.Broken) / 2
}

// holds says whether every criterion is met with so many.
func (s *session) holds(ctx context.Context, n int, report *Report, tell func(Progress)) (bool, Step, error) {
	const tries = 2
	var step Step
	for range tries {
		var err error
		step, err = s.try(ctx, n, tell)
		if step.Duration > 0 {
			report.Steps = append(report.Steps, step)
		}
		if err != nil {
			return false, step, err
		}
		if len(s.people) < n {
			step.short(n, len(s.people))
			break
		}
		if met(step.Criteria) {
			return true, step, nil
		}
	}
	return false, step, nil
}
