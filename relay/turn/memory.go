package turn

import (
	"os"
	"runtime/debug"
)

// collectAt is the growth of the heap, in percent of what lives in it, after which a
// relay's garbage is collected.
const collectAt = 30

// TuneCollector sets this process's garbage collector for a relay, unless the variable
// GOGC has set it: the heap grows by 30 % before garbage is collected, instead of by
// 100 %. A relay's heap is what its allocations hold, for minutes, and forwarding makes
// no garbage; so the collector has little to do and its headroom would be most of what
// an allocation costs: 10.4 instead of 13.9 kB (relay/forward, "Memory"). It is for
// programs that are relays, once, at their start. What
// it costs is collecting more often while allocations are made: one with a permission
// and a channel, among ten thousand, takes 0.27 instead of 0.20 ms of CPU time in all.
func TuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
