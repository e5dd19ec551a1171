package account

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Take reads the accounts of the machine and of some processes.
func Take(pids ...int) (Books, error) {
	b := Books{Processes: make([]time.Duration, len(pids))}
	for i, pid := range pids {
		spent, err := Process(pid)
		if err != nil {
			return b, err
		}
		b.Processes[i] = spent
	}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return b, fmt.Errorf("read the machine's accounts: %w", err)
	}
	b.At = time.Now()
	return b, b.machine(stat)
}

// Process is the CPU time of a process since it began, user and system together.
func Process(pid int) (time.Duration, error) {
	var spent unix.Timespec
	// The clock of a process, as the C library's clock_getcpuclockid makes it.
	clock := int32(^pid<<3 | 2)
	if err := unix.ClockGettime(clock, &spent); err != nil {
		return 0, fmt.Errorf("cpu clock of process %d: %w", pid, err)
	}
	return time.Duration(spent.Nano()), nil
}

// Thread is the CPU time of the calling thread, in and out of the kernel. The goroutine
// must be locked to it.
func Thread() (time.Duration, error) {
	var spent unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &spent); err != nil {
		return 0, fmt.Errorf("cpu clock of the thread: %w", err)
	}
	return time.Duration(spent.Nano()), nil
}

// tick is the unit of /proc/stat, which is the same on every architecture that Go
// knows (USER_HZ).
const tick = 10 * time.Millisecond

// machine reads the text of /proc/stat.
func (b *Books) machine(stat []byte) error {
	for line := range bytes.Lines(stat) {
		f := bytes.Fields(line)
		if len(f) < 9 || !bytes.HasPrefix(f[0], []byte("cpu")) {
			continue
		}
		if len(f[0]) > len("cpu") {
			b.CPUs++
			continue
		}
		idle, err1 := strconv.ParseInt(string(f[4]), 10, 64)
		waiting, err2 := strconv.ParseInt(string(f[5]), 10, 64)
		stolen, err3 := strconv.ParseInt(string(f[8]), 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return fmt.Errorf("read /proc/stat: %w", err)
		}
		b.Idle, b.Stolen = time.Duration(idle+waiting)*tick, time.Duration(stolen)*tick
	}
	if b.CPUs == 0 {
		return errors.New("read /proc/stat: no line for a cpu")
	}
	return nil
}

// Resident is how much memory a process holds, in bytes.
func Resident(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return resident * uint64(os.Getpagesize()), nil
}
