package loader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Answer is what the loader's process says: Ready first, then a Result for each
// step; or what went wrong, which is the last.
type Answer struct {
	Ready  *Ready  `json:"ready,omitempty"`
	Result *Result `json:"result,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Serve is the loader's process. It reads one Config and then Steps from in, as
// JSON, writes an Answer to out for each, and ends when in does.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	err := serve(ctx, orders, answers)
	if err != nil {
		return errors.Join(err, answers.Encode(Answer{Error: err.Error()}))
	}
	return nil
}

func serve(ctx context.Context, orders *json.Decoder, answers *json.Encoder) (err error) {
	var cfg Config
	if err := orders.Decode(&cfg); err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	l, err := New(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	ready := l.Ready()
	if err := answers.Encode(Answer{Ready: &ready}); err != nil {
		return err
	}
	for {
		var step Step
		if err := orders.Decode(&step); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read step: %w", err)
		}
		result, err := l.Step(ctx, step)
		if err != nil {
			return err
		}
		if err := answers.Encode(Answer{Result: &result}); err != nil {
			return err
		}
	}
}
