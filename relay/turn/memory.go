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
// an allocation costs. It is for programs that are relays, once, at their start.
//
// What it costs is in the package's comment, under "Memory".
func TuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
