// Package capture writes the packets of a run as one pcapng file (the format of
// draft-ietf-opsawg-pcapng), which Wireshark and tshark open. Each interface of
// each host is a capture interface of the file, named "host/interface", so that
// a display filter like frame.interface_name == "alice-pc/eth0" shows what one
// machine saw. The link type is raw IP, timestamps are in nanoseconds, and each
// packet says whether it went out or came in.
//
// It does not read captures, and knows nothing of what the packets mean.
package capture

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Writer writes packets as pcapng. Its methods may be called from several
// goroutines; packets are written in the order of the calls.
type Writer struct {
	out io.Writer

	mu sync.Mutex
	// The following are guarded by mu.
	ng         *pcapgo.NgWriter // nil until the first interface is known
	interfaces map[name]int
	err        error // the first failure, or os.ErrClosed
}

// name is an interface of a host.
type name struct{ host, iface string }

func (n name) String() string { return n.host + "/" + n.iface }

// New returns a Writer to w, which is neither closed nor used after Close. The
// error is always nil today.
func New(w io.Writer) (*Writer, error) {
	return &Writer{out: w, interfaces: make(map[name]int)}, nil
}

// Captured writes one IP packet that left (outbound) or reached an interface of
// a host at time t. The packet is copied. An interface is declared in the file
// when its first packet is written. After an error all calls return it; after
// Close they return os.ErrClosed.
func (w *Writer) Captured(t time.Time, host, iface string, outbound bool, packet []byte) error {
	direction := pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionInbound}
	if outbound {
		direction.Direction = pcapgo.NgEpbFlagDirectionOutbound
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	var index int
	if index, w.err = w.index(name{host, iface}); w.err != nil {
		return w.err
	}
	w.err = w.ng.WritePacketWithOptions(gopacket.CaptureInfo{
		Timestamp: t, CaptureLength: len(packet), Length: len(packet), InterfaceIndex: index,
	}, packet, pcapgo.NgPacketOptions{Flags: &direction})
	return w.err
}

// index returns the number of an interface in the file, which it declares if
// need be.
func (w *Writer) index(n name) (int, error) {
	if i, known := w.interfaces[n]; known {
		return i, nil
	}
	i := len(w.interfaces)
	if err := w.declare(n.String()); err != nil {
		return 0, err
	}
	w.interfaces[n] = i
	return i, nil
}

// declare writes the description of an interface, the first one after the
// file's head.
func (w *Writer) declare(name string) (err error) {
	described := pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeRaw}
	if w.ng != nil {
		_, err = w.ng.AddInterface(described)
		return err
	}
	w.ng, err = pcapgo.NewNgWriterInterface(w.out, described, pcapgo.NgWriterOptions{
		SectionInfo: pcapgo.NgSectionInfo{Application: "callpath"},
	})
	return err
}

// Close writes out what is buffered. A file without packets is valid and has
// one interface, named "none". Calling Close again does nothing; an earlier
// error is returned.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err == os.ErrClosed:
		return nil
	case w.err != nil:
		return w.err
	}
	if w.ng == nil {
		if w.err = w.declare("none"); w.err != nil {
			return w.err
		}
	}
	if w.err = w.ng.Flush(); w.err != nil {
		return w.err
	}
	w.err = os.ErrClosed
	return nil
}
