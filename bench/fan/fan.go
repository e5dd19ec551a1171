package fan

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/callpath/callpath/bench/account"
	"github.com/callpath/callpath/relay/forward"
	"github.com/callpath/callpath/relay/forward/fanout"
	"github.com/callpath/callpath/relay/forward/srtp"
)

// Config is what to measure. All fields are needed.
type Config struct {
	Profile srtp.Profile
	// Payload is the size of a packet's payload, in bytes.
	Payload int
	// Receivers are at least one.
	Receivers int
	// Duration is how long it takes, without preparation.
	Duration time.Duration
}

// Result has CPU times for each outgoing packet: medians over many turns, in which the
// way of a packet and the two parts of its floor alternate.
type Result struct {
	Way, Seal, Send time.Duration
	// Packets are those that went the way, Unsent those of them that could not.
	Packets, Unsent uint64
}

// Floor is what no way can be below.
func (r Result) Floor() time.Duration { return r.Seal + r.Send }

// The layout of a packet: an RTP header without anything optional (RFC 3550, section 5.1).
const (
	headerSize = 12
	version    = 0x80
)

// batchSize is how many datagrams are sent at a time, as a media processor does.
const batchSize = 64

// Measure measures. Where the system has no batched sockets, the error is
// errors.ErrUnsupported.
func Measure(ctx context.Context, cfg Config) (Result, error) {
	b, err := newBench(cfg)
	if err != nil {
		return Result{}, fmt.Errorf("fan-out to %d receivers: %w", cfg.Receivers, err)
	}
	defer b.close()
	result, err := b.measure(ctx, cfg.Duration)
	if err != nil {
		return result, fmt.Errorf("fan-out to %d receivers: %w", cfg.Receivers, err)
	}
	return result, nil
}

// bench is one measurement.
type bench struct {
	sinks []*net.UDPConn
	port  *forward.Port

	// The way: what one sender sealed is opened and sealed for all.
	in     *srtp.Sealer
	source *fanout.Source
	batch  *fanout.Batch
	// The floor: sealers as many, and datagrams that were sealed before.
	sealers []*srtp.Sealer
	sealed  []fanout.Datagram

	packet, buffer []byte
	payload        int
	seq            uint16
}

func newBench(cfg Config) (_ *bench, err error) {
	b := &bench{payload: cfg.Payload}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	if b.port, err = forward.NewPort(conn); err != nil {
		conn.Close()
		return nil, err
	}
	to := make([]netip.AddrPort, cfg.Receivers)
	for i := range to {
		if to[i], err = b.sink(); err != nil {
			return nil, err
		}
	}
	key := func(n int) (*srtp.Keys, error) { return keys(cfg.Profile, n) }
	sender, err := key(0)
	if err != nil {
		return nil, err
	}
	b.in = sender.Sealer()
	if sender, err = key(0); err != nil {
		return nil, err
	}
	b.batch = fanout.NewBatch(b.port, batchSize)
	b.source = fanout.NewSource(sender.Opener(srtp.OpenerConfig{}), b.batch)
	length := headerSize + cfg.Payload + cfg.Profile.Overhead()
	// What the floor sends lies in memory as what a Batch sends.
	memory := make([]byte, batchSize*length)
	for i, at := range to {
		way, err := key(i + 1)
		if err != nil {
			return nil, err
		}
		b.source.Track(0).Add(fanout.NewReceiver(fanout.ReceiverConfig{To: at, Sealer: way.Sealer(), SSRC: 1}))
		floor, err := key(i + 1)
		if err != nil {
			return nil, err
		}
		b.sealers = append(b.sealers, floor.Sealer())
		place := i % batchSize * length
		b.sealed = append(b.sealed, fanout.Datagram{To: at, Data: memory[place : place+length]})
	}
	b.packet, b.buffer = make([]byte, headerSize+cfg.Payload, length), make([]byte, headerSize+cfg.Payload, length)
	return b, nil
}

// sink is a receiver's socket. Nobody reads: once its small buffer is full, the kernel
// throws away what comes.
func (b *bench) sink() (netip.AddrPort, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return netip.AddrPort{}, err
	}
	b.sinks = append(b.sinks, conn)
	if err := conn.SetReadBuffer(4 << 10); err != nil {
		return netip.AddrPort{}, err
	}
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

// keys are those of the n-th participant, new each time.
func keys(p srtp.Profile, n int) (*srtp.Keys, error) {
	key, salt := make([]byte, p.KeySize()), make([]byte, p.SaltSize())
	if len(key) >= 8 {
		binary.BigEndian.PutUint64(key, uint64(n))
	}
	return srtp.NewKeys(p, key, salt)
}

func (b *bench) close() {
	if b.port != nil {
		b.port.Close()
	}
	for _, s := range b.sinks {
		s.Close()
	}
}

// measure has the three take turns.
func (b *bench) measure(ctx context.Context, d time.Duration) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	turns := []func() error{b.way, b.seal, b.send}
	took := make([][]time.Duration, len(turns))
	// The first round is not counted: the streams begin, and memory is touched.
	for until, first := time.Now().Add(d), true; first || time.Now().Before(until); first = false {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		if err := b.arrive(); err != nil {
			return Result{}, err
		}
		for i, turn := range turns {
			from, err := account.Thread()
			if err != nil {
				return Result{}, err
			}
			if err := turn(); err != nil {
				return Result{}, err
			}
			to, err := account.Thread()
			if err != nil {
				return Result{}, err
			}
			if !first {
				took[i] = append(took[i], to-from)
			}
		}
	}
	each := func(i int) time.Duration {
		if len(took[i]) == 0 {
			return 0
		}
		slices.Sort(took[i])
		return took[i][len(took[i])/2] / time.Duration(len(b.sealed))
	}
	result := Result{Way: each(0), Seal: each(1), Send: each(2)}
	result.Packets, result.Unsent = b.batch.Sent()
	return result, nil
}

// arrive has the sender seal the next packet.
func (b *bench) arrive() (err error) {
	b.seq++
	header(b.packet, b.seq)
	b.packet, err = b.in.RTP(b.packet[:headerSize], b.packet[headerSize:headerSize+b.payload])
	return err
}

func header(p []byte, seq uint16) {
	clear(p[:headerSize])
	p[0] = version
	binary.BigEndian.PutUint16(p[2:], seq)
}

// way is that of the packet that has arrived.
func (b *bench) way() error {
	b.source.Forward([][]byte{b.packet})
	b.batch.Flush()
	return nil
}

// seal seals as many packets.
func (b *bench) seal() error {
	for _, s := range b.sealers {
		header(b.buffer, b.seq)
		if _, err := s.RTP(b.buffer[:headerSize], b.buffer[headerSize:headerSize+b.payload]); err != nil {
			return err
		}
	}
	return nil
}

// send sends as many sealed ones.
func (b *bench) send() error {
	for rest := b.sealed; len(rest) > 0; {
		n := min(batchSize, len(rest))
		b.port.Send(rest[:n])
		rest = rest[n:]
	}
	return nil
}
