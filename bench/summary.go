package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Spread is a figure over several rounds.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Rounds int     `json:"rounds"`
}

// spreadOf takes the values of all rounds; those that are not numbers are rounds
// without the figure.
func spreadOf(values []float64) Spread {
	values = slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if len(values) == 0 {
		return Spread{}
	}
	slices.Sort(values)
	n := len(values)
	return Spread{Median: (values[(n-1)/2] + values[n/2]) / 2, Low: values[0], High: values[n-1], Rounds: n}
}

// none is the value of a figure that a sample does not have.
var none = math.NaN()

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// perPacket is a time over the packets that arrived, in microseconds.
func (s Sample) perPacket(d time.Duration) float64 {
	if s.Result.Received == 0 {
		return none
	}
	return microseconds(d) / float64(s.Result.Received)
}

func (s Sample) server() float64 {
	if s.Subject == direct {
		return none
	}
	return s.perPacket(s.Result.Spent.Processes[0])
}

func (s Sample) processes() float64 {
	var sum time.Duration
	for _, p := range s.Result.Spent.Processes {
		sum += p
	}
	return s.perPacket(sum)
}

// maxOthers is the share of the CPUs' time that others may take while the machine's
// busy time still says something about the load.
const maxOthers = 0.2

func (s Sample) machine() float64 {
	if s.others() > maxOthers {
		return none
	}
	return s.perPacket(s.Result.Spent.Machine)
}

// others is the share of the CPUs' time that was spent on anything but the
// benchmark, 0 to 1.
func (s Sample) others() float64 {
	spent := s.Result.Spent
	all := spent.Elapsed * time.Duration(spent.CPUs)
	if all <= 0 {
		return none
	}
	return float64(spent.Others()) / float64(all)
}

// memory is what a flow adds to the server's process, idle what its allocation does
// alone.
func (s Sample) memory() float64 { return s.perFlow(s.Ready.After) }

func (s Sample) idle() float64 { return s.perFlow(s.Ready.Idle) }

func (s Sample) perFlow(bytes uint64) float64 {
	if bytes <= s.Ready.Before || s.Ready.Flows == 0 {
		return none
	}
	return float64(bytes-s.Ready.Before) / float64(s.Ready.Flows)
}

// cell is what the samples of one row have in common.
type cell struct {
	study   Study
	load    string
	flows   int
	share   float64
	subject string
}

func (s Sample) cell() cell { return cell{s.Study, s.Load, s.Flows, s.Share, s.Subject} }

// of is the same cell of another subject.
func (c cell) of(subject string) cell { c.subject = subject; return c }

// summarize makes the rows of samples, in the order in which studies, loads and
// subjects first appear, and of one study and load by the number of flows and the
// share.
func summarize(samples []Sample, against string) []Row {
	byRound := make(map[cell]map[int]Sample)
	var order []cell
	for _, s := range samples {
		c := s.cell()
		if byRound[c] == nil {
			byRound[c] = make(map[int]Sample)
			order = append(order, c)
		}
		byRound[c][s.Round] = s
	}
	first := func(c cell) int {
		return slices.IndexFunc(order, func(o cell) bool { return o.study == c.study && o.load == c.load })
	}
	inOrder := slices.Clone(order)
	slices.SortStableFunc(inOrder, func(a, b cell) int {
		return cmp.Or(cmp.Compare(first(a), first(b)), cmp.Compare(a.flows, b.flows), cmp.Compare(a.share, b.share))
	})
	var rows []Row
	for _, c := range inOrder {
		rows = append(rows, rowOf(c, byRound, against))
	}
	return rows
}

func rowOf(c cell, byRound map[cell]map[int]Sample, against string) Row {
	if c.study == FanOut {
		against = floor
	}
	mine, base, theirs := byRound[c], byRound[c.of(direct)], byRound[c.of(against)]
	row := Row{Study: c.study, Load: c.load, Subject: c.subject, Flows: c.flows, Share: c.share}

	// added is a cost less that of the load alone, in the same round.
	added := func(s Sample, cost func(Sample) float64) float64 {
		if s.Subject == direct {
			return cost(s)
		}
		if b, ok := base[s.Round]; ok {
			return cost(s) - cost(b)
		}
		return none
	}
	carried := func(s Sample) float64 { return s.Result.Carried() }
	system := func(s Sample) float64 { return added(s, Sample.machine) }
	processes := func(s Sample) float64 { return added(s, Sample.processes) }
	p99 := func(s Sample) float64 { return microseconds(s.Result.Latency.At(99)) }
	for _, f := range []struct {
		figure, ratio *Spread
		of            func(Sample) float64
	}{
		{&row.Asked, nil, func(s Sample) float64 { return s.Result.Rate }},
		{&row.Carried, &row.Ratios.Carried, carried},
		{&row.Loss, nil, func(s Sample) float64 { return s.Result.Loss() }},
		{&row.Server, &row.Ratios.Server, Sample.server},
		{&row.Added, &row.Ratios.Added, system},
		{&row.Processes, &row.Ratios.Processes, processes},
		{&row.P50, nil, func(s Sample) float64 { return microseconds(s.Result.Latency.At(50)) }},
		{&row.P99, &row.Ratios.P99, p99},
		{&row.Pacing, nil, func(s Sample) float64 { return microseconds(s.Result.Pacing.At(50)) }},
		{&row.PacingP99, nil, func(s Sample) float64 { return microseconds(s.Result.Pacing.At(99)) }},
		{&row.Memory, &row.Ratios.Memory, Sample.memory},
		{&row.Idle, &row.Ratios.Idle, Sample.idle},
	} {
		*f.figure = over(mine, f.of)
		if f.ratio != nil && c.subject != direct {
			*f.ratio = over(mine, func(s Sample) float64 { return ratio(f.of, s, theirs) })
		}
	}
	for _, round := range rounds(mine) {
		s := mine[round]
		if s.Limit != "" {
			row.Limits = append(row.Limits, s.Limit)
		}
		if why := s.Result.Saturated(); why != "" {
			row.Saturated++
			row.Why = why
		}
	}
	return row
}

// ratio is a sample's figure over that of another subject in the same round. A ratio
// to nothing, or to less, which noise can make of a difference, is none.
func ratio(of func(Sample) float64, s Sample, theirs map[int]Sample) float64 {
	t, ok := theirs[s.Round]
	if !ok {
		return none
	}
	mine, other := of(s), of(t)
	if !(other > 0) || !(mine > 0) {
		return none
	}
	return mine / other
}

func over(samples map[int]Sample, of func(Sample) float64) Spread {
	var values []float64
	for _, round := range rounds(samples) {
		values = append(values, of(samples[round]))
	}
	return spreadOf(values)
}

func rounds(samples map[int]Sample) []int {
	var all []int
	for r := range samples {
		all = append(all, r)
	}
	slices.Sort(all)
	return all
}

// shared is the share of the CPUs' time that others took: its median and the most.
func shared(samples []Sample) Spread {
	var values []float64
	for _, s := range samples {
		values = append(values, s.others())
	}
	return spreadOf(values)
}

// accounting says whose time the kernel's work for a packet is, by the network.
var accounting = map[string]string{
	onLoopback:   "Accounting on loopback: what the kernel does for a packet, up to the receiver's socket, is time of the process that sends it, and a run crosses without having been cut. A relay is charged for delivering to clients and peers, the load for delivering to the relay. What a kernel path does is in the load's time: compare that by system CPU added.",
	inNamespaces: "Accounting in network namespaces: packets cross veth one by one and are merged where they arrive, as by a card; what the kernel does for a packet, up to the next host's socket, is time of the process that sends it. A relay is charged for delivering to clients and peers, which is most of its cost. What a kernel path does is in the load's time: compare that by system CPU added.",
}

// notes say what a reader of the figures has to know.
func (r *Report) notes() []string {
	var notes []string
	if a := accounting[r.Machine.Network]; a != "" {
		notes = append(notes, a)
	}
	if r.Machine.OthersMost > 0.05 {
		notes = append(notes, fmt.Sprintf("The machine is shared: other work took %.0f %% of its CPU time (median; at most %.0f %% in one measurement). Trust ratios more than figures. System CPU added is not given for measurements in which others took more than %.0f %%.",
			100*r.Machine.Others, 100*r.Machine.OthersMost, 100*maxOthers))
	}
	if len(r.Machine.ServerCPUs) > 0 && slices.Equal(r.Machine.ServerCPUs, r.Machine.LoaderCPUs) {
		notes = append(notes, "Server and loader share the same CPUs: each takes time from the other.")
	}
	if len(r.Machine.ServerCPUs) == 0 {
		notes = append(notes, "Processes are not pinned to CPUs.")
	}
	saturated := 0
	for _, s := range r.Samples {
		if s.Study != Peak && s.Result.Saturated() != "" {
			saturated++
		}
	}
	if saturated > 0 {
		notes = append(notes, fmt.Sprintf("In %d of %d measurements the generator was what could not keep up; their rows are marked.", saturated, len(r.Samples)))
	}
	return notes
}
