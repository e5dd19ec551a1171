// Command callpath runs scenarios of documented call-flow topologies and says
// which path the encrypted media took and why.
//
// Start reading at newRoot; each subcommand has a file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes. They are part of the interface.
const (
	exitMet   = 0 // every expectation was met
	exitUnmet = 1 // an expectation was not met, or the run was interrupted
	exitInput = 2 // the input or the command line is not usable
	exitFault = 3 // callpath itself, or what it needs, failed
)

// exitError carries an exit code with what was wrong. An empty text has been
// told already.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap gives what was wrong.
func (e *exitError) Unwrap() error { return e.err }

func input(err error) error { return &exitError{exitInput, err} }
func fault(err error) error { return &exitError{exitFault, err} }

// errTold is an error whose story the report has told.
var errTold = errors.New("")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := newRoot(out, errOut)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitMet
	}
	if err.Error() != "" {
		fmt.Fprintf(errOut, "callpath: %s\n", err)
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	// What cobra itself returns is a command line that it cannot read.
	return exitInput
}
