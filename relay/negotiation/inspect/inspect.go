// Package inspect makes negotiation records of captures: of those that a run of
// ours wrote, and of any other that a host or a network device took. It also reads
// the records that a run printed as JSON, and logs: of a run, and of a relay. So all
// can be looked at alike.
//
// A capture is read twice, front to back. The first reading is a survey: which
// addresses are endpoints, which are servers and relays, and what belongs to one
// endpoint. The second hands each endpoint's packets to a negotiation.Recorder of
// its own. What is kept does not grow with the capture: each table has a limit,
// which stands as a constant beside it, and what a Recorder keeps is bounded too.
//
// One endpoint's view is a leg. In a capture of ours a leg is a host: its
// interfaces are named "host/interface", and each packet says which way it went.
// In any other capture a leg is an address that took part, or several of them that
// one ICE agent uses (survey.go, legs.go).
//
// A capture can't show what is in TLS, for example TURN over TLS, and has no SDP;
// descriptions and key logs can be given beside it.
//
// Start reading at Read, then at Report. Package capturefile reads the files.
package inspect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/inspect/capturefile"
)

// Source is a file to read. It is opened once or twice.
type Source struct {
	// Name stands in errors.
	Name string
	// Size is in bytes, for Progress; 0 when it is not known.
	Size int64
	Open func() (io.ReadCloser, error)
}

// File is the Source of a file by its path, which must be a regular one: a
// capture is read twice.
func File(path string) (Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Source{}, err
	}
	if !info.Mode().IsRegular() {
		return Source{}, fmt.Errorf("%s is no regular file; valid: one that can be read twice", path)
	}
	return Source{Name: path, Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(path) }}, nil
}

// Options are what is known beside a capture. The zero Options are usable; for
// JSON only Progress counts.
type Options struct {
	// Local are the addresses whose legs are wanted. When empty the capture
	// itself decides.
	Local []netip.Addr
	// SDP are descriptions of any of the endpoints. Which leg sent one, and
	// which received it, is told by its a=ice-ufrag.
	SDP []Description
	// KeyLog is the text of an NSS key log, nil for none. With it the tags of
	// SRTP are verified. What is derived from it stays in memory.
	KeyLog io.Reader
	// Progress is told now and then how many bytes were read, of how many; a
	// capture's count twice. The total is 0 when it is not known.
	Progress func(read, total int64)
}

// Report is what a file showed. It marshals to what Read accepts as JSON again.
type Report struct {
	File   string `json:"file"`
	Format string `json:"format"`
	// Packets counts those of the capture; 0 for JSON.
	Packets uint64    `json:"packets,omitempty"`
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
	Legs    []Leg     `json:"legs"`
	// Notes are about the file as a whole, for example what could not be read.
	Notes []string `json:"notes,omitempty"`
}

// Leg is one endpoint's record. Its name is that of the host, the participant or
// the address.
type Leg struct {
	negotiation.Record
	// Addresses are the endpoint's own, where the capture was grouped by them.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Relayed is set for a leg of a relay's log.
	Relayed *Relayed `json:"relayed_leg,omitempty"`
	// Transactions are what the leg asked STUN and TURN servers, and what became of
	// it. A run's JSON has none.
	Transactions []Transaction `json:"transactions,omitempty"`
	// Findings are conclusions from the record, beside its own Problems: where a
	// set-up stopped, and what may be the cause.
	Findings []string `json:"findings,omitempty"`
}

// Transaction is one of the leg's transactions with a STUN or TURN server.
type Transaction struct {
	Time time.Time `json:"time"`
	// What is the name of negotiation's event, for example "turn.allocated".
	What string `json:"what"`
	// Text has the event's attributes.
	Text string `json:"text"`
	// Count is how often the same was seen, Time being the first.
	Count int `json:"count"`
}

// Troubled is true when the leg has problems or findings, or its media did not flow
// both ways. A leg of a relay's log that ICE did not choose has no media to flow.
func (l Leg) Troubled() bool {
	return len(l.Problems) > 0 || len(l.Findings) > 0 || !flows(l.Record) && !l.notChosen()
}

func (l Leg) notChosen() bool { return l.Relayed != nil && l.Relayed.CarriedBy != "" }

// progressStep is after how many bytes Progress is told.
const progressStep = 1 << 20

// interruptStep is after how many packets an end of the context is noticed.
const interruptStep = 1 << 12

// Read reads a capture, the JSON of a run or of a Report, or a log.
//
// A file that is sound only in its beginning, such as a capture that was cut off,
// gives a Report of that beginning together with an error. Without a Report nothing
// could be read. Errors name the file and, for what is wrong inside, the offset or the
// line.
func Read(ctx context.Context, src Source, o Options) (*Report, error) {
	r := &reading{ctx: ctx, src: src, options: o, total: src.Size}
	begin, err := r.begin()
	if err != nil {
		return nil, err
	}
	if begin == '{' {
		log, err := r.isLog()
		if err != nil {
			return nil, err
		}
		if log {
			return r.log()
		}
	}
	if begin == '{' || begin == '[' {
		return r.json(begin == '[')
	}
	r.total *= 2
	return r.capture()
}

// reading is one call of Read.
type reading struct {
	ctx     context.Context
	src     Source
	options Options

	total, done, told int64 // bytes
}

// open opens the source so that Progress is told; base is what was read before.
func (r *reading) open() (io.ReadCloser, error) {
	f, err := r.src.Open()
	if err != nil {
		return nil, err
	}
	return &watched{f, r}, nil
}

type watched struct {
	io.ReadCloser
	r *reading
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	r := w.r
	r.done += int64(n)
	if r.options.Progress != nil && (r.done-r.told >= progressStep || err == io.EOF) {
		r.told = r.done
		r.options.Progress(r.done, r.total)
	}
	return n, err
}

// failed names the file in an error of what it holds.
func (r *reading) failed(err error) error { return fmt.Errorf("%s: %w", r.src.Name, err) }

// begin is the first byte that is not blank: JSON and captures differ in it. It is
// 0 when there is none.
func (r *reading) begin() (byte, error) {
	f, err := r.src.Open()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	const blank = 4 << 10
	b := bufio.NewReader(io.LimitReader(f, blank))
	for {
		switch c, err := b.ReadByte(); {
		case err == io.EOF:
			return 0, nil
		case err != nil:
			return 0, r.failed(err)
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		default:
			return c, nil
		}
	}
}

// each calls f for each packet of the capture, at most limit of them. The error of
// what the file holds comes after all packets before it.
func (r *reading) each(limit uint64, onKeyLog func([]byte), f func(capturefile.Packet)) (format string, packets uint64, err error) {
	in, err := r.open()
	if err != nil {
		return "", 0, err
	}
	defer in.Close()
	file, err := capturefile.NewReader(in, onKeyLog)
	if err != nil {
		return "", 0, r.failed(err)
	}
	for packets < limit {
		if packets%interruptStep == 0 && r.ctx.Err() != nil {
			return file.Format(), packets, r.ctx.Err()
		}
		p, err := file.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return file.Format(), packets, r.failed(err)
		}
		packets++
		f(p)
	}
	return file.Format(), packets, nil
}
