package kernel

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// array is a map of the kernel whose values are in memory that this process shares.
// Slot 0 is never given out.
type array[T any] struct {
	memory []byte
	stride int

	mu    sync.Mutex
	free  []uint32
	fresh uint32 // the first slot that was never given out
	// resting are slots that were given back; the program may still see them for a
	// moment, on another processor.
	resting []restingSlot
}

type restingSlot struct {
	slot  uint32
	until time.Time
}

// rest is far longer than the program runs for a packet.
const rest = 100 * time.Millisecond

func newArray[T any](m *ebpf.Map) (*array[T], error) {
	stride := (int(m.ValueSize()) + 7) &^ 7
	if int(unsafe.Sizeof(*new(T))) > stride {
		return nil, fmt.Errorf("map of values of %d bytes; wanted %d", stride, unsafe.Sizeof(*new(T)))
	}
	page := unix.Getpagesize()
	size := (stride*int(m.MaxEntries()) + page - 1) &^ (page - 1)
	memory, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping a map: %w", err)
	}
	a := &array[T]{memory: memory[:stride*int(m.MaxEntries())], stride: stride, fresh: 1}
	// There is no moment at which nobody can still be reading.
	runtime.AddCleanup(a, func(memory []byte) { _ = unix.Munmap(memory) }, memory)
	return a, nil
}

// at is the value in a slot. It is valid as long as the array is reachable.
func (a *array[T]) at(slot uint32) *T {
	return (*T)(unsafe.Pointer(&a.memory[int(slot)*a.stride]))
}

// take returns a slot, or 0 when there is none left.
func (a *array[T]) take(now time.Time) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.resting) > 0 && !now.Before(a.resting[0].until) {
		a.free = append(a.free, a.resting[0].slot)
		a.resting = a.resting[1:]
	}
	if n := len(a.free); n > 0 {
		slot := a.free[n-1]
		a.free = a.free[:n-1]
		return slot
	}
	if int(a.fresh) >= len(a.memory)/a.stride {
		return 0
	}
	a.fresh++
	return a.fresh - 1
}

// give gives a slot back.
func (a *array[T]) give(slot uint32, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.resting = append(a.resting, restingSlot{slot, now.Add(rest)})
}

// count is struct count of bpf/relay.c.
type count struct {
	packets, bytes, over atomic.Uint64
	_                    [5]uint64
}

func (c *count) load() Count {
	return Count{Packets: c.packets.Load(), Bytes: c.bytes.Load(), Over: c.over.Load()}
}

func (c *count) reset() {
	c.packets.Store(0)
	c.bytes.Store(0)
	c.over.Store(0)
}

// meter is struct meter of bpf/relay.c.
type meter struct {
	due         atomic.Int64
	cost, burst uint64
	_           [5]uint64
}
