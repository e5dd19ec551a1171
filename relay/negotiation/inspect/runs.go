package inspect

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/callpath/callpath/relay/negotiation"
)

// maxRuns bounds the values of a JSON array.
const maxRuns = 4096

// run is what is read of a run as `callpath run --json` prints it.
type run struct {
	// Scenario tells a run from a Report, which has none.
	Scenario     *string `json:"scenario"`
	Participants []struct {
		Name        string             `json:"name"`
		Negotiation negotiation.Record `json:"negotiation"`
	} `json:"participants"`
}

// validJSON says what is read.
const validJSON = "what callpath run --json or callpath inspect --json prints, or " + validLog

var errEnds = errors.New("the file ends in the middle of a value")

// json reads an array of runs, or one run or Report; array says which.
func (r *reading) json(array bool) (*Report, error) {
	f, err := r.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	out := &Report{File: r.src.Name, Format: "JSON", Legs: []Leg{}}
	if err := out.decode(d, array); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errEnds
		}
		offset := d.InputOffset()
		if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = wrong.Offset
		}
		return nil, r.failed(fmt.Errorf("offset %d, line %d: %w; valid: %s", offset, r.lineAt(offset), err, validJSON))
	}
	return out, nil
}

// lineAt is the line of an offset, from 1; that of the end when the file has changed.
func (r *reading) lineAt(offset int64) int {
	n := 1
	f, err := r.src.Open()
	if err != nil {
		return n
	}
	defer f.Close()
	b := bufio.NewReader(io.LimitReader(f, offset))
	for {
		c, err := b.ReadByte()
		if err != nil {
			return n
		}
		if c == '\n' {
			n++
		}
	}
}

// decode takes one value, or the values of an array, and nothing after that.
func (out *Report) decode(d *json.Decoder, array bool) error {
	if array {
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	for n := 0; n == 0 && !array || array && d.More(); n++ {
		if n == maxRuns {
			return fmt.Errorf("more than %d runs", maxRuns)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := out.take(value, array); err != nil {
			return err
		}
	}
	if array {
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	switch _, err := d.Token(); {
	case err == nil:
		return errors.New("something comes after the value")
	case err != io.EOF:
		return err
	}
	return nil
}

// take adds the legs of one value.
func (out *Report) take(value json.RawMessage, array bool) error {
	var one run
	if err := json.Unmarshal(value, &one); err != nil {
		return err
	}
	if one.Scenario == nil {
		return out.takeReport(value)
	}
	for _, p := range one.Participants {
		rec := p.Negotiation
		rec.Leg = p.Name
		if array {
			rec.Leg = *one.Scenario + "/" + p.Name
		}
		out.Legs = append(out.Legs, Leg{Record: rec, Findings: findings(rec, nil)})
	}
	return nil
}

// takeReport takes a Report over, its findings included: they know of more than
// the records do.
func (out *Report) takeReport(value json.RawMessage) error {
	read := Report{Legs: nil}
	if err := json.Unmarshal(value, &read); err != nil {
		return err
	}
	if read.Legs == nil {
		return errors.New("neither a run nor records")
	}
	legs := append(out.Legs, read.Legs...)
	file := out.File
	*out = read
	out.File, out.Legs = file, legs
	return nil
}
