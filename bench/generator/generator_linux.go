package generator

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/callpath/callpath/relay/forward/kernel/namespace"
)

//go:embed bpf/frames.o
var object []byte

const (
	// depth is how many frames leave at most as a burst: one batch of the kernel's.
	depth = 64
	// MaxFlows is the most that are sent in turn.
	MaxFlows = 1 << 14
	// more is how much longer than it sends the program runs, for the system's work before
	// the first frame.
	more = 50 * time.Millisecond
	// silence without a frame ends the wait for those under way.
	silence = 50 * time.Millisecond
)

// Place is an interface in a network namespace.
type Place struct {
	*namespace.Namespace
	Interface string
}

// Config says what to send, and where.
type Config struct {
	// Frames are the flows, of which one frame each is sent in turn. All have the same
	// size.
	Frames []Frame
	// From is where frames leave, To where what is to be counted comes in: at the
	// peers by its port of origin, at the clients (AtClients) by its address.
	From, To  Place
	AtClients bool
	// CPU is where the generator works.
	CPU int
}

// Generator is one, with its sink. It is for one goroutine.
type Generator struct {
	cfg        Config
	collection *ebpf.Collection
	sink       link.Link
}

// flow is struct flow of bpf/frames.c, which also counts what was sent.
type flow struct {
	headers [headers]byte
	_       uint16
	_       uint64
}

// pace is struct pace of bpf/frames.c, which begins with its start.
type pace struct {
	_, duration, rate, position, skipped uint64
	flows, depth, ifindex, _             uint32
}

// Open attaches the sink.
func Open(cfg Config) (_ *Generator, err error) {
	g := &Generator{cfg: cfg}
	defer func() {
		if err != nil {
			g.Close()
			err = fmt.Errorf("generator: %w", err)
		}
	}()
	if n := len(cfg.Frames); n < 1 || n > MaxFlows {
		return nil, fmt.Errorf("%d flows; valid: 1 to %d", n, MaxFlows)
	}
	for i, f := range cfg.Frames {
		if len(f) != len(cfg.Frames[0]) || len(f) < headers {
			return nil, fmt.Errorf("frame %d has %d bytes, the first %d; valid: %d or more, all the same", i, len(f), len(cfg.Frames[0]), headers)
		}
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, err
	}
	spec.Maps["flows"].MaxEntries = uint32(len(cfg.Frames))
	if g.collection, err = ebpf.NewCollection(spec); err != nil {
		return nil, err
	}
	for i, f := range cfg.Frames {
		if err := g.put("flows", uint32(i), memory(&flow{headers: [headers]byte(f)})); err != nil {
			return nil, err
		}
	}
	program := "count_at_peers"
	if cfg.AtClients {
		program = "count_at_clients"
	}
	err = cfg.To.Do(func() error {
		at, err := net.InterfaceByName(cfg.To.Interface)
		if err == nil {
			g.sink, err = link.AttachTCX(link.TCXOptions{Interface: at.Index, Program: g.collection.Programs[program], Attach: ebpf.AttachTCXIngress})
		}
		if err != nil {
			return fmt.Errorf("sink on %s: %w", cfg.To.Interface, err)
		}
		return nil
	})
	return g, err
}

// memory is a value as the kernel has it.
func memory[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

func (g *Generator) put(name string, number uint32, value []byte) error {
	if err := g.collection.Maps[name].Put(number, value); err != nil {
		return fmt.Errorf("table %s: %w", name, err)
	}
	return nil
}

// Close detaches the sink.
func (g *Generator) Close() {
	if g.sink != nil {
		g.sink.Close()
	}
	if g.collection != nil {
		g.collection.Close()
	}
}

// Result is what became of the frames of one Send.
type Result struct {
	// Sent frames left the generator, Received came to the sink. Skipped were due
	// while the generator was held up, and not sent.
	Sent, Received, Skipped uint64
	// Flows is how many of the flows something was received of.
	Flows int
}

// Loss is the part of the frames sent that did not arrive.
func (r Result) Loss() float64 {
	if r.Sent == 0 || r.Received >= r.Sent {
		return 0
	}
	return float64(r.Sent-r.Received) / float64(r.Sent)
}

// Short is the part of the frames due that was not sent.
func (r Result) Short() float64 {
	if r.Skipped == 0 {
		return 0
	}
	return float64(r.Skipped) / float64(r.Sent+r.Skipped)
}

// Send sends at a rate, in frames a second, for some time, and waits until nothing
// arrives any more.
func (g *Generator) Send(rate float64, d time.Duration) (Result, error) {
	before, err := g.received()
	if err != nil {
		return Result{}, fmt.Errorf("generator: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- g.work(rate, d) }()
	if err := <-done; err != nil {
		return Result{}, fmt.Errorf("generator: %w", err)
	}
	p, err := g.pace()
	if err != nil {
		return Result{}, fmt.Errorf("generator: %w", err)
	}
	r := Result{Sent: p.position - p.skipped, Skipped: p.skipped}
	if due := uint64(rate * d.Seconds()); due > p.position+depth {
		r.Skipped += due - p.position
	}
	for last := uint64(0); ; {
		after, err := g.received()
		if err != nil {
			return Result{}, fmt.Errorf("generator: %w", err)
		}
		r.Received, r.Flows = 0, 0
		for i := range after {
			if n := after[i] - before[i]; n > 0 {
				r.Received += n
				r.Flows++
			}
		}
		if r.Received == last || r.Received >= r.Sent {
			return r, nil
		}
		last = r.Received
		time.Sleep(silence)
	}
}

// work is the generator's thread, which ends with it.
func (g *Generator) work(rate float64, d time.Duration) error {
	if err := g.cfg.From.Enter(); err != nil {
		return err
	}
	var cpus unix.CPUSet
	cpus.Set(g.cfg.CPU)
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		return fmt.Errorf("pin to CPU %d: %w", g.cfg.CPU, err)
	}
	if err := urge(unix.Gettid(), worker); err != nil {
		return err
	}
	out, err := net.InterfaceByName(g.cfg.From.Interface)
	if err != nil {
		return err
	}
	p := pace{
		duration: uint64(d), rate: uint64(rate / 1e9 * (1 << 32)),
		flows: uint32(len(g.cfg.Frames)), depth: depth, ifindex: uint32(out.Index),
	}
	if err := g.put("paces", 0, memory(&p)); err != nil {
		return err
	}
	return run(g.collection.Programs["emit"], g.cfg.Frames[0], d+more)
}

// run has the kernel run a program with live frames, again and again for some time, by
// one system call: to begin and to end one takes the kernel 20 ms. What ends it is a
// signal, for which there is no way in package ebpf. The calling goroutine has its
// thread for itself.
func run(program *ebpf.Program, frame Frame, d time.Duration) error {
	attr := struct { // of union bpf_attr, that of BPF_PROG_RUN
		program, _, size, _ uint32
		data                unsafe.Pointer
		_                   uint64
		repeat, _, _, _     uint32
		_, _                uint64
		flags, _, batch, _  uint32
	}{
		program: uint32(program.FD()), size: uint32(len(frame)), data: unsafe.Pointer(&frame[0]),
		repeat: math.MaxInt32, flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES, batch: depth,
	}
	// Go uses the signal SIGURG for its own purposes, and takes more of them.
	thread, ended, done := unix.Gettid(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for wait := d; ; wait = time.Millisecond {
			select {
			case <-ended:
				return
			case <-time.After(wait):
				_ = unix.Tgkill(unix.Getpid(), thread, unix.SIGURG)
			}
		}
	}()
	var errno unix.Errno
	for until := time.Now().Add(d); ; {
		_, _, errno = unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_RUN, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		if errno != unix.EINTR || !time.Now().Before(until) {
			break
		}
	}
	close(ended)
	<-done
	runtime.KeepAlive(program)
	if errno != unix.EINTR && errno != 0 {
		return fmt.Errorf("live frames (Linux 5.18): %w", errno)
	}
	return nil
}

func (g *Generator) pace() (p pace, err error) {
	text, err := g.collection.Maps["paces"].LookupBytes(uint32(0))
	if err == nil && len(text) != len(memory(&p)) {
		err = errors.New("the table of paces is another")
	}
	if err != nil {
		return p, err
	}
	copy(memory(&p), text)
	return p, nil
}

// received is how often the sink was come to, by what it counts by.
func (g *Generator) received() ([]uint64, error) {
	m := g.collection.Maps["counts"]
	counts, keys := make([]uint64, m.MaxEntries()), make([]uint32, m.MaxEntries())
	var cursor ebpf.MapBatchCursor
	if n, err := m.BatchLookup(&cursor, keys, counts, nil); err != nil && (!errors.Is(err, ebpf.ErrKeyNotExist) || n < len(keys)) {
		return nil, fmt.Errorf("counts: %w", err)
	}
	return counts, nil
}
