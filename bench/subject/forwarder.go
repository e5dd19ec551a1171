package subject

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"

	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/bench/udp"
)

// mode is how a bare forwarder handles packets.
type mode int

const (
	single mode = iota
	batched
	segmented
)

// forwarder moves packets between clients and peers as a relay must (its sockets are
// those of a relay, one for each flow, and it takes off and puts on the header of
// ChannelData) but knows nothing of TURN. One goroutine does it all.
type forwarder struct {
	mode   mode
	at     netip.AddrPort
	main   *udp.Socket
	poller *udp.Poller
	inbox  *udp.Inbox
	outbox *udp.Outbox
	buffer []byte
	// headers are those of the packets in the outbox.
	headers [][4]byte

	flows []*forwarded
	// clients finds a client's flow.
	clients map[udp.Address]*forwarded

	// stop is a pipe, of which closing the one end wakes the goroutine.
	stop, wake *os.File
	done       chan struct{}
}

// forwarded is one flow.
type forwarded struct {
	client  udp.Address
	channel [2]byte
	out     *udp.Socket
}

// The numbers under which the poller knows what is not a flow.
const (
	numberStop = -1
	numberMain = -2
)

func openForwarder(m mode) func(settings) (io.Closer, error) {
	return func(s settings) (io.Closer, error) {
		f := &forwarder{mode: m, at: s.Server, clients: make(map[udp.Address]*forwarded), done: make(chan struct{})}
		f.buffer = make([]byte, 4+2048)
		f.inbox = udp.NewInbox(64, udp.MaxMessage)
		f.outbox = udp.NewOutbox(64, 2*1024)
		f.headers = make([][4]byte, 1024)
		err := f.open()
		if err != nil {
			return nil, errors.Join(err, f.release())
		}
		go func() {
			defer close(f.done)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			f.run()
		}()
		return f, nil
	}
}

func (f *forwarder) open() (err error) {
	if f.main, err = udp.Open(f.at, f.options()); err != nil {
		return err
	}
	if f.poller, err = udp.NewPoller(64); err != nil {
		return err
	}
	if f.stop, f.wake, err = os.Pipe(); err != nil {
		return fmt.Errorf("forwarder: %w", err)
	}
	return errors.Join(f.poller.AddFile(int(f.stop.Fd()), numberStop), f.poller.Add(f.main, numberMain))
}

// forwarderBuffer is what the forwarder's sockets hold: much, as it is the floor.
const forwarderBuffer = 4 << 20

func (f *forwarder) options() udp.Options {
	return udp.Options{Buffer: forwarderBuffer, Coalesce: f.mode == segmented}
}

// Close ends the forwarder and waits for its goroutine.
func (f *forwarder) Close() error {
	err := f.wake.Close()
	f.wake = nil
	<-f.done
	return errors.Join(err, f.release())
}

func (f *forwarder) release() error {
	var errs []error
	for _, flow := range f.flows {
		errs = append(errs, flow.out.Close())
	}
	if f.main != nil {
		errs = append(errs, f.main.Close())
	}
	if f.poller != nil {
		errs = append(errs, f.poller.Close())
	}
	for _, file := range []*os.File{f.stop, f.wake} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}

func (f *forwarder) run() {
	for {
		n, err := f.poller.Wait(-1)
		if err != nil {
			return
		}
		for i := range n {
			switch number := f.poller.Ready(i); {
			case number == numberStop:
				return
			case number == numberMain && f.mode == single:
				f.upOne()
			case number == numberMain:
				f.upMany()
			case f.mode == single:
				f.downOne(f.flows[number])
			default:
				f.downMany(f.flows[number])
			}
		}
	}
}

// turns bounds how many packets of one socket are handled before the others'.
const turns = 64

// upOne forwards from clients with a system call for each packet and each way.
func (f *forwarder) upOne() {
	for range turns {
		n, from, err := f.main.Receive(f.buffer)
		if err != nil {
			return
		}
		if flow, payload := f.parse(f.buffer[:n], from); flow != nil {
			_ = flow.out.Send(payload) // a forwarder does not know better than to go on
		}
	}
}

// downOne forwards from one peer.
func (f *forwarder) downOne(flow *forwarded) {
	for range turns {
		n, _, err := flow.out.Receive(f.buffer[4:])
		if err != nil {
			return
		}
		copy(f.buffer, flow.channel[:])
		binary.BigEndian.PutUint16(f.buffer[2:], uint16(n))
		_ = f.main.SendTo(f.buffer[:4+n], &flow.client)
	}
}

// parse finds the flow and the payload of a client's packet, and makes the flow when
// the packet asks for it.
func (f *forwarder) parse(p []byte, from udp.Address) (*forwarded, []byte) {
	if hello, ok := loader.ReadHello(p); ok {
		f.greet(hello, from)
		return nil, nil
	}
	flow := f.clients[from]
	if flow == nil || len(p) < 4 {
		return nil, nil
	}
	size := int(binary.BigEndian.Uint16(p[2:]))
	if size > len(p)-4 {
		return nil, nil
	}
	flow.channel = [2]byte(p)
	return flow, p[4 : 4+size]
}

// greet makes the flow that a client asks for. One that cannot be made is not
// answered, and the client will say so.
func (f *forwarder) greet(hello loader.Hello, from udp.Address) {
	flow := f.clients[from]
	if flow == nil {
		out, err := udp.Open(netip.AddrPortFrom(f.at.Addr(), 0), f.options())
		if err != nil {
			return
		}
		if out.Connect(hello.Address) != nil || f.poller.Add(out, int32(len(f.flows))) != nil {
			_ = out.Close()
			return
		}
		flow = &forwarded{client: from, out: out, channel: [2]byte{0x40, 0}}
		f.flows = append(f.flows, flow)
		f.clients[from] = flow
	}
	_ = f.main.SendTo(loader.Hello{Address: flow.out.Local()}.Bytes(), &from)
}

// upMany forwards what clients have sent. What leaves by one socket leaves together,
// as far as it came together.
func (f *forwarder) upMany() {
	n, err := f.inbox.Receive(f.main)
	if err != nil {
		return
	}
	var to *forwarded
	for i := range n {
		m := f.inbox.Message(i)
		size := m.Segment
		if size == 0 {
			size = len(m.Data)
		}
		if flow := f.clients[m.From]; flow != nil && m.Segment > 4 {
			f.leave(&to, flow, (len(m.Data)+size-1)/size)
			f.cut(flow, m)
			continue
		}
		for data := m.Data; len(data) > 0; data = data[min(size, len(data)):] {
			if flow, payload := f.parse(data[:min(size, len(data))], m.From); flow != nil {
				f.leave(&to, flow, 1)
				f.outbox.Begin(nil, 0)
				f.outbox.Append(payload)
			}
		}
	}
	if to != nil {
		f.outbox.Flush(to.out)
	}
}

// leave flushes the outbox when it is another flow's or has no room for so many
// pieces more.
func (f *forwarder) leave(to **forwarded, flow *forwarded, pieces int) {
	if *to != nil && (*to != flow || !f.outbox.Room(1, pieces)) {
		f.outbox.Flush((*to).out)
	}
	*to = flow
}

// cut adds a run of a client's packets as one message without their headers.
func (f *forwarder) cut(flow *forwarded, m udp.Message) {
	f.outbox.Begin(nil, m.Segment-4)
	for data := m.Data; len(data) > 4; data = data[min(m.Segment, len(data)):] {
		f.outbox.Append(data[4:min(m.Segment, len(data))])
	}
}

// downMany forwards what a peer has sent to one flow.
func (f *forwarder) downMany(flow *forwarded) {
	n, err := f.inbox.Receive(flow.out)
	if err != nil {
		return
	}
	used := 0
	for i := range n {
		m := f.inbox.Message(i)
		size, segment := m.Segment, 0
		if size == 0 {
			size = max(1, len(m.Data))
		} else {
			segment = 4 + size
		}
		count := (len(m.Data) + size - 1) / size
		if !f.outbox.Room(1, 2*count) || used+count > len(f.headers) {
			f.outbox.Flush(f.main)
			used = 0
		}
		f.outbox.Begin(&flow.client, segment)
		for data := m.Data; len(data) > 0; data = data[min(size, len(data)):] {
			packet := data[:min(size, len(data))]
			h := &f.headers[used]
			used++
			copy(h[:], flow.channel[:])
			binary.BigEndian.PutUint16(h[2:], uint16(len(packet)))
			f.outbox.Append(h[:])
			f.outbox.Append(packet)
		}
	}
	f.outbox.Flush(f.main)
}
