package generator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Receive has the kernel handle what comes in at an interface in a thread of its own
// (threaded NAPI), on one CPU and before all processes there, as a card's interrupts
// would, and not on the CPU of the sender. The calling thread is to see its own
// interfaces in /sys. It is to be called again when a program of XDP was attached, by
// which the thread is another.
func Receive(name string, cpu int) error {
	if err := os.WriteFile("/sys/class/net/"+name+"/threaded", []byte("1"), 0); err != nil {
		return fmt.Errorf("receive in a thread: %w", err)
	}
	threads, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return fmt.Errorf("receive in a thread: %w", err)
	}
	found := 0
	for _, file := range threads {
		// A process that has ended meanwhile has no name.
		text, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(text), "napi/"+name+"-") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		var cpus unix.CPUSet
		cpus.Set(cpu)
		if err := unix.SchedSetaffinity(pid, &cpus); err != nil {
			return fmt.Errorf("receive in a thread: pin to CPU %d: %w", cpu, err)
		}
		if err := urge(pid, receiver); err != nil {
			return fmt.Errorf("receive in a thread: %w", err)
		}
		found++
	}
	if found == 0 {
		return fmt.Errorf("receive in a thread: %s has none", name)
	}
	return nil
}

// The priorities: a card's interrupts come before what runs on the machine, and both
// before what has no part in what is measured.
const (
	worker   = 1
	receiver = 2
)

// urge has a thread run before all that have no priority in real time.
func urge(thread, priority int) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: uint32(priority)}
	if err := unix.SchedSetAttr(thread, &attr, 0); err != nil {
		return fmt.Errorf("priority of thread %d: %w", thread, err)
	}
	return nil
}

// Urge has a process run before what has no part in what is measured, as the generator
// does, but not before what Receive has made.
func Urge(pid int) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return fmt.Errorf("priority: %w", err)
	}
	for _, name := range threads {
		if thread, err := strconv.Atoi(filepath.Base(name)); err == nil {
			if err := urge(thread, worker); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}
