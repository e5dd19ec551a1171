package bench

import (
	"time"

	"github.com/callpath/callpath/bench/loader"
)

// Report is what a benchmark found.
type Report struct {
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"took"`
	Machine Machine       `json:"machine"`
	// Against is the subject that ratios are to.
	Against  string        `json:"against"`
	Subjects []Measure     `json:"subjects"`
	Rounds   int           `json:"rounds"`
	Duration time.Duration `json:"duration"`
	// Rows are the figures, which Samples are the grounds of.
	Rows    []Row    `json:"rows"`
	Samples []Sample `json:"samples"`
	// Notes are what a reader of the figures has to know.
	Notes []string `json:"notes"`
	// Cut says why the benchmark ended early, "" when it did not.
	Cut string `json:"cut,omitempty"`
}

// Measure says what a subject is.
type Measure struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
}

// Machine is where the benchmark ran, and how it used that.
type Machine struct {
	System     string `json:"system"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	CPUs       int    `json:"cpus"`
	ServerCPUs []int  `json:"server_cpus"`
	LoaderCPUs []int  `json:"loader_cpus"`
	Network    string `json:"network"`
	// Others is the share of all CPUs' time, 0 to 1, that was spent on anything but
	// the benchmark: its median over all measurements, and the most of one.
	Others     float64 `json:"others"`
	OthersMost float64 `json:"others_most"`
}

// direct is the name under which the load that is sent straight to the sink appears.
const direct = "direct"

// Sample is one measurement.
type Sample struct {
	Study   Study         `json:"study"`
	Load    string        `json:"load"`
	Subject string        `json:"subject"`
	Round   int           `json:"round"`
	Flows   int           `json:"flows"`
	Share   float64       `json:"share,omitempty"` // of the common peak; study latency
	Ready   loader.Ready  `json:"ready"`
	Result  loader.Result `json:"result"`
	// Limit is what ended a search, of which this is the highest rate carried.
	Limit string `json:"limit,omitempty"`
}

// Row is the figures of one subject in one study under one load, over all rounds.
// Times are in microseconds. A figure that does not exist has no rounds.
type Row struct {
	Study   Study   `json:"study"`
	Load    string  `json:"load"`
	Subject string  `json:"subject"`
	Flows   int     `json:"flows"`
	Share   float64 `json:"share,omitempty"`
	// Asked is the rate that was sent, Carried what arrived, in packets per second.
	Asked   Spread `json:"asked"`
	Carried Spread `json:"carried"`
	// Loss is a share, 0 to 1.
	Loss Spread `json:"loss"`
	// Server is the CPU time of the subject's process for each packet relayed.
	Server Spread `json:"server_cpu"`
	// Added is the machine's busy time for each packet, less that of the same load
	// sent straight to the sink. For direct it is the whole.
	Added Spread `json:"system_cpu_added"`
	// Processes is the same from the CPU time of server and loader alone, which
	// other work on the machine does not touch.
	Processes Spread `json:"processes_cpu_added"`
	P50       Spread `json:"latency_p50"`
	P99       Spread `json:"latency_p99"`
	// Pacing is how late the generator itself was.
	Pacing    Spread `json:"pacing_p50"`
	PacingP99 Spread `json:"pacing_p99"`
	// Memory is the bytes that one flow adds to the server's process: its allocation,
	// permission and channel; Idle what the allocation does without them.
	Memory Spread `json:"memory_per_flow"`
	Idle   Spread `json:"memory_per_idle_allocation"`
	// Limits are what ended the searches of the study Peak.
	Limits []string `json:"limits,omitempty"`
	// Saturated says in how many rounds the generator was what could not do more,
	// and Why in the last of them.
	Saturated int    `json:"generator_saturated"`
	Why       string `json:"generator_saturated_why,omitempty"`
	// Ratios are this row's figures over those of the subject that ratios are to.
	Ratios Ratios `json:"ratios"`
}

// Ratios are medians of the ratios within each round.
type Ratios struct {
	Carried   Spread `json:"carried"`
	Server    Spread `json:"server_cpu"`
	Added     Spread `json:"system_cpu_added"`
	Processes Spread `json:"processes_cpu_added"`
	P99       Spread `json:"latency_p99"`
	Memory    Spread `json:"memory_per_flow"`
	Idle      Spread `json:"memory_per_idle_allocation"`
}
