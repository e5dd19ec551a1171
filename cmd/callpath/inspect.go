package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/callpath/callpath/relay/negotiation/inspect"
)

// inspectFlags are the flags of the inspect command, as given.
type inspectFlags struct {
	local  []string
	legs   []string
	sdp    []string
	keyLog string
	json   bool
	strict bool
	quiet  bool
}

func newInspect() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect FILE.pcapng|FILE.pcap|FILE.json|FILE.log",
		Short: "Read a capture, a run's JSON or a log, and print what was negotiated",
		Long: strings.TrimSpace(`
Read a capture, of ours or of anyone else, and print for each endpoint in it how
far the set-up came and where it stopped: STUN and TURN, ICE checks, DTLS flights
and parameters, SRTP streams with loss and jitter, and problems in words. The JSON
that "callpath run --json" prints, and that of this command, is read as well, and so
are two logs of JSON lines: that of "callpath run --log-format json" on standard
error, and that of "callpath serve --negotiation-log", in which a leg is an allocation
and a peer. Of a leg whose last record a log does not have yet its events are printed.

A leg is one endpoint's view. In a capture by "callpath run --pcap" a leg is a host.
In any other it is the machine that took the capture, where directions or addresses
show that, or else each address that sent ICE checks, DTLS or STUN requests; --local
says whose legs are wanted. Captures may be pcap or pcapng, also gzipped, of raw IP,
Ethernet with or without VLAN, Linux cooked (SLL, SLL2) and loopback interfaces.

With the offer and the answer (--sdp, once for each; whose they are is told by their
ice-ufrag) certificates are compared with the promised fingerprints. With the key
log (--keylog, or inside a pcapng file) the tags of SRTP are verified. What is inside
TLS, such as TURN over TLS, a capture can't show.

Exit codes: 0 the file was read, whatever it shows; 1 with --strict a leg has
problems or its media did not flow both ways; 2 the file can't be read, or only its
beginning, which is printed then. Errors name the line or the offset.`),
		Example: strings.Trim(`
  callpath inspect call.pcapng
  callpath inspect --keylog call.keylog --sdp offer.sdp --sdp answer.sdp call.pcapng
  callpath inspect --local 192.0.2.10 --strict from-the-router.pcap
  callpath run --log-format json case3-turn 2> run.log; callpath inspect run.log
  callpath run --json all > runs.json; callpath inspect --leg case3-turn/alice runs.json`, "\n"),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inspectFile(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.local, "local", nil, "an `ADDRESS` whose leg is wanted; may be repeated")
	flags.StringArrayVar(&f.legs, "leg", nil, "print only the leg of this `NAME`; may be repeated")
	flags.StringArrayVar(&f.sdp, "sdp", nil, "an offer or answer: SDP in a `FILE`, or JSON with type and sdp; may be repeated")
	flags.StringVar(&f.keyLog, "keylog", "", "the NSS key log of the DTLS handshakes, a `FILE`")
	flags.BoolVar(&f.json, "json", false, "print the records as JSON")
	flags.BoolVar(&f.strict, "strict", false, "exit with code 1 when a leg has problems or its media did not flow both ways")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	return cmd
}

func inspectFile(ctx context.Context, out, errOut io.Writer, f inspectFlags, path string) error {
	options, err := f.options()
	if err != nil {
		return input(err)
	}
	if f.keyLog != "" {
		keys, err := os.Open(f.keyLog)
		if err != nil {
			return input(err)
		}
		defer keys.Close()
		options.KeyLog = keys
	}
	src, err := inspect.File(path)
	if err != nil {
		return input(err)
	}
	bar := newReadingBar(errOut, filepath.Base(path), src.Size, f.quiet)
	options.Progress = bar.at
	report, err := inspect.Read(ctx, src, options)
	bar.end()
	switch {
	case ctx.Err() != nil:
		return &exitError{exitUnmet, fmt.Errorf("inspect %s: interrupted", path)}
	case report == nil:
		return input(err)
	}
	if wrong := f.pick(report); wrong != nil {
		return input(errors.Join(wrong, err))
	}
	if wrong := f.write(out, report); wrong != nil {
		return fault(wrong)
	}
	if err != nil {
		return input(err)
	}
	if f.strict && (len(report.Legs) == 0 || slices.ContainsFunc(report.Legs, inspect.Leg.Troubled)) {
		return &exitError{exitUnmet, errTold}
	}
	return nil
}

// options reads what the flags name.
func (f inspectFlags) options() (inspect.Options, error) {
	var o inspect.Options
	for _, text := range f.local {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return o, fmt.Errorf("--local %q: wanted an IP address, for example 192.0.2.10", text)
		}
		o.Local = append(o.Local, a.Unmap().WithZone(""))
	}
	for _, path := range f.sdp {
		text, err := readBounded(path)
		if err != nil {
			return o, err
		}
		o.SDP = append(o.SDP, inspect.Description{File: path, Text: text})
	}
	return o, nil
}

// readBounded reads a small file; of a large one enough to be refused.
func readBounded(path string) (string, error) {
	const most = 1 << 20
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most))
	return string(text), err
}

// pick leaves only the legs that --leg names.
func (f inspectFlags) pick(r *inspect.Report) error {
	if len(f.legs) == 0 {
		return nil
	}
	var names []string
	for _, l := range r.Legs {
		names = append(names, l.Leg)
	}
	for _, wanted := range f.legs {
		if !slices.Contains(names, wanted) {
			valid := "none"
			if len(names) > 0 {
				valid = strings.Join(names, "; ")
			}
			return fmt.Errorf("--leg %q is not in %s; valid: %s", wanted, r.File, valid)
		}
	}
	r.Legs = slices.DeleteFunc(r.Legs, func(l inspect.Leg) bool { return !slices.Contains(f.legs, l.Leg) })
	return nil
}

func (f inspectFlags) write(out io.Writer, r *inspect.Report) error {
	if !f.json {
		return r.Text(out, colored(out))
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// readingBar shows how far a large file is read, in a terminal.
type readingBar struct {
	bars *mpb.Progress
	bar  *mpb.Bar
}

func newReadingBar(w io.Writer, name string, size int64, quiet bool) *readingBar {
	const large = 32 << 20
	if quiet || size < large || !isTerminal(w) {
		return &readingBar{}
	}
	bars := mpb.New(mpb.WithOutput(w))
	return &readingBar{bars: bars, bar: bars.AddBar(size, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace), decor.Elapsed(decor.ET_STYLE_GO, decor.WCSyncSpace)))}
}

// at is inspect's Progress.
func (b *readingBar) at(read, total int64) {
	if b.bar != nil {
		b.bar.SetTotal(total, false)
		b.bar.SetCurrent(min(read, total))
	}
}

func (b *readingBar) end() {
	if b.bar != nil {
		b.bar.Abort(true)
		b.bars.Wait()
	}
}
