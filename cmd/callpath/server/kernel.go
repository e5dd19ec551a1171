package server

import (
	"log/slog"
	"slices"

	"github.com/callpath/callpath/relay/forward/kernel"
)

// The values of relay.kernel that are not interfaces.
const (
	kernelAuto = "auto"
	kernelOff  = "off"
)

// openKernel opens the way through the kernel, when it is asked for and can be had; one
// line of the log says which. Without it, the relay's own sockets have all packets.
func (c *Config) openKernel(log *slog.Logger) *kernel.Path {
	names := c.Relay.Kernel
	switch {
	case len(names) == 0 || slices.Contains(names, kernelOff):
		return nil
	case slices.Contains(names, kernelAuto):
		names = nil
	}
	path, err := kernel.Open(kernel.Config{Interfaces: names, Channels: c.kernelChannels(), Log: log})
	if err != nil {
		log.Warn("nothing is forwarded in the kernel; all packets go through the sockets", "error", err)
		return nil
	}
	log.Info("packets of bound channels are forwarded in the kernel", "interfaces", path.Interfaces())
	return path
}

// kernelChannels is for how many channels there is memory in the kernel. Most
// allocations have one or two; what does not fit goes through the sockets.
func (c *Config) kernelChannels() int {
	const most, each = 1 << 18, 2
	return min(most, each*min(most, int(c.Relay.Quota.Allocations)))
}
