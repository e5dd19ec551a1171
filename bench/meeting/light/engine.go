package light

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	randv2 "math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/callpath/callpath/bench/meeting/filler"
	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/bench/udp"
)

// Config configures an Engine.
type Config struct {
	// Local is the address of the clients' sockets; by default 0.0.0.0.
	Local netip.Addr
	// Bitrate is that of one sender's video, in bits per second of RTP payload; by
	// default 1,000,000. Frames is its pictures a second, 30 by default.
	Bitrate, Frames int
	// Share is how much of its time the engine may work, above 0 to 1: what a slower
	// machine would have. By default 1.
	Share float64
	// Seed decides when in its period each client sends.
	Seed uint64
}

func (c Config) complete() (Config, error) {
	if !c.Local.IsValid() {
		c.Local = netip.IPv4Unspecified()
	}
	if c.Bitrate == 0 {
		c.Bitrate = 1_000_000
	}
	if c.Frames == 0 {
		c.Frames = 30
	}
	if c.Share == 0 {
		c.Share = 1
	}
	switch {
	case !c.Local.Unmap().Is4():
		return c, fmt.Errorf("light: Config.Local is %v; wanted an IPv4 address", c.Local)
	case c.Bitrate < 8*c.Frames*(filler.Least) || c.Bitrate > 1_000_000_000:
		return c, fmt.Errorf("light: Config.Bitrate is %d; wanted %d to 1000000000", c.Bitrate, 8*c.Frames*(filler.Least))
	case c.Frames < 1 || c.Frames > 120:
		return c, fmt.Errorf("light: Config.Frames is %d; wanted 1 to 120", c.Frames)
	case !(c.Share > 0 && c.Share <= 1):
		return c, fmt.Errorf("light: Config.Share is %v; wanted above 0 to 1", c.Share)
	}
	return c, nil
}

// Engine runs clients in one goroutine. Its methods may be called from any goroutine.
type Engine struct {
	cfg         Config
	certificate tls.Certificate
	fingerprint string

	// What follows belongs to Run's goroutine.
	poller  *udp.Poller
	inbox   *udp.Inbox
	outbox  *udp.Outbox
	memory  []byte // of packets that are made
	used    int    // of it by packets in outbox
	due     schedule
	clients map[int32]*Client
	tally   *tally.Tally
	random  *randv2.Rand
	now     int64
	nextID  int32
	woken   [64]byte
	handled int // events and messages of this turn

	wakeRead, wakeWrite *os.File

	mu      sync.Mutex // guards what follows
	queue   []func()
	closing bool
	ended   chan struct{}
}

// The sizes of what an engine works with.
const (
	batch        = 32
	clientBuffer = 4 << 20
	memorySize   = 1 << 20
	// longestWait bounds every wait, turnEvents what is sent before it is read again.
	longestWait = 20 * time.Millisecond
	turnEvents  = 256
	// abandon is how late something may be sent; what is later is passed over.
	abandon = time.Second
)

// wakeNumber is the pipe's in the poller.
const wakeNumber = -1

// NewEngine makes an engine, which does nothing before Run. Close is needed only when Run
// is not called.
func NewEngine(cfg Config) (*Engine, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, clients: make(map[int32]*Client), tally: tally.New(), ended: make(chan struct{}),
		inbox: udp.NewInbox(batch, udp.MaxMessage), outbox: udp.NewOutbox(batch, batch), memory: make([]byte, memorySize),
		random: randv2.New(randv2.NewPCG(cfg.Seed, cfg.Seed)),
	}
	if err := e.certify(); err != nil {
		return nil, err
	}
	if e.poller, err = udp.NewPoller(4 * batch); err != nil {
		return nil, err
	}
	if e.wakeRead, e.wakeWrite, err = os.Pipe(); err != nil {
		return nil, errors.Join(fmt.Errorf("light: %w", err), e.poller.Close())
	}
	if err := e.poller.AddFile(int(e.wakeRead.Fd()), wakeNumber); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Close frees an engine that was never run.
func (e *Engine) Close() error {
	return errors.Join(e.poller.Close(), e.wakeRead.Close(), e.wakeWrite.Close())
}

// certify makes the certificate of all clients.
func (e *Engine) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("light: certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "callpath load"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("light: certificate: %w", err)
	}
	e.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	sum := sha256.Sum256(der)
	var pairs []string
	for _, b := range sum {
		pairs = append(pairs, strings.ToUpper(hex.EncodeToString([]byte{b})))
	}
	e.fingerprint = "sha-256 " + strings.Join(pairs, ":")
	return nil
}

// post has the engine call f. It says no when the engine has ended.
func (e *Engine) post(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return false
	}
	e.queue = append(e.queue, f)
	if len(e.queue) == 1 {
		_, _ = e.wakeWrite.Write([]byte{1})
	}
	return true
}

// errEnded is what clients of an engine get that has ended.
var errEnded = errors.New("light: the engine has ended")

// do has the engine call f, and waits until it has.
func (e *Engine) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	if !e.post(func() { f(); close(done) }) {
		return errEnded
	}
	select {
	case <-done:
		return nil
	case <-e.ended:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Cut returns what was counted since the last Cut, and begins to count anew.
func (e *Engine) Cut(ctx context.Context) (*tally.Tally, error) {
	var cut *tally.Tally
	err := e.do(ctx, func() {
		cut = e.tally
		for _, c := range e.clients {
			c.counted(cut)
		}
		e.tally = tally.New()
	})
	if err != nil {
		return nil, err
	}
	return cut, nil
}

// Run works until ctx ends. It then closes all sockets. Clients should be closed before,
// so that the server sees them leave.
func (e *Engine) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(e.ended)
	stop := context.AfterFunc(ctx, func() { e.post(func() {}) })
	defer stop()
	err := udp.Precise()
	for err == nil && ctx.Err() == nil {
		err = e.turn()
	}
	e.mu.Lock()
	e.closing = true
	e.queue = nil
	e.mu.Unlock()
	for _, c := range e.clients {
		err = errors.Join(err, c.socket.Close())
	}
	return errors.Join(err, e.Close())
}

// turn does what is due, and reads what has come.
func (e *Engine) turn() error {
	began := time.Now()
	e.handled = 0
	e.now = began.UnixNano()
	e.serve()
	e.work()
	wait := longestWait
	if len(e.due) > 0 {
		wait = min(wait, time.Duration(e.due[0].due-time.Now().UnixNano()))
	}
	if e.handled >= turnEvents {
		wait = 0
	}
	worked := time.Since(began)
	ready, err := e.poller.Wait(max(0, wait))
	if err != nil {
		return err
	}
	began = time.Now()
	e.now = began.UnixNano()
	for i := range ready {
		number := e.poller.Ready(i)
		if number == wakeNumber {
			_, _ = e.wakeRead.Read(e.woken[:])
		} else if c := e.clients[number]; c != nil {
			e.receive(c)
		}
	}
	if e.cfg.Share < 1 {
		worked += time.Since(began)
		time.Sleep(time.Duration(float64(worked) * (1/e.cfg.Share - 1)))
	}
	return nil
}

// serve calls what others want to be called.
func (e *Engine) serve() {
	e.mu.Lock()
	queue := e.queue
	e.queue = nil
	e.mu.Unlock()
	for _, f := range queue {
		f()
	}
}

// work does what is due.
func (e *Engine) work() {
	for ; len(e.due) > 0 && e.handled < turnEvents; e.handled++ {
		next := e.due[0]
		if next.due > e.now {
			if e.now = time.Now().UnixNano(); next.due > e.now {
				return
			}
		}
		again := next.client.act(next)
		if again == 0 {
			e.due.pop()
			continue
		}
		next.due = again
		e.due.replace(next)
	}
}

// receive takes what a client's socket has.
func (e *Engine) receive(c *Client) {
	n, err := e.inbox.Receive(c.socket)
	if err != nil {
		return // nothing there, or told that an earlier packet was refused
	}
	e.handled += n
	for i := range n {
		m := e.inbox.Message(i)
		at := m.At
		if at == 0 {
			at = e.now
		}
		size := m.Segment
		if size == 0 {
			size = len(m.Data)
		}
		for data := m.Data; len(data) > 0; {
			one := data[:min(size, len(data))]
			data = data[len(one):]
			c.receive(one[:len(one):len(one)], m.From, at)
		}
	}
}
