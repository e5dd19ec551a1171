//go:build !linux

package process

import (
	"os"
	"os/exec"
)

// start starts cmd; it cannot be pinned here.
func start(cmd *exec.Cmd, _ []int) error { return cmd.Start() }

func terminate(p *os.Process) { _ = p.Kill() }

// CPUs is not known here.
func CPUs() []int { return nil }
