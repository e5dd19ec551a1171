// Package account reads what processes and the machine have spent, from the
// system's own books: the CPU clock of each process (POSIX, clock_getcpuclockid),
// which counts in nanoseconds and includes threads that have ended, and the idle
// time of all CPUs (/proc/stat, in hundredths of a second).
//
// Work that the kernel does for a packet is charged to whoever has it done: on
// loopback the sender of a packet pays for its way into the receiver's socket. So
// a process's own time is not all that it causes, and the machine's time is not all
// the benchmark's; the benchmark reports both.
//
// Start reading at Take.
package account

import (
	"time"
)

// Books is the state of the accounts at one moment.
type Books struct {
	// At is the moment, on the runtime's steady clock.
	At time.Time
	// Processes are the CPU times of the processes that were asked for, in their
	// order.
	Processes []time.Duration
	// Idle is the idle time of all CPUs together, StolenFor the time that a
	// hypervisor gave to others.
	Idle, Stolen time.Duration
	// CPUs is how many CPUs the machine has.
	CPUs int
}

// Spent is what was spent between two moments.
type Spent struct {
	Elapsed time.Duration `json:"elapsed"`
	// Processes are in the order in which they were asked for.
	Processes []time.Duration `json:"processes"`
	// Machine is how long CPUs were busy, all together, with anything.
	Machine time.Duration `json:"machine"`
	CPUs    int           `json:"cpus"`
}

// Since is what was spent since an earlier moment.
func (b Books) Since(from Books) Spent {
	s := Spent{Elapsed: b.At.Sub(from.At), CPUs: b.CPUs, Processes: make([]time.Duration, len(b.Processes))}
	for i := range b.Processes {
		s.Processes[i] = b.Processes[i] - from.Processes[i]
	}
	// Idle time is exact where the sum of user and system time is sampled by ticks.
	s.Machine = max(0, s.Elapsed*time.Duration(b.CPUs)-(b.Idle-from.Idle)-(b.Stolen-from.Stolen))
	return s
}

// Others is the time that the machine was busy with anything but the processes that
// were asked for.
func (s Spent) Others() time.Duration {
	left := s.Machine
	for _, p := range s.Processes {
		left -= p
	}
	return max(0, left)
}
