package loader

import "time"

// Age makes the allocations older.
func (l *Loader) Age(d time.Duration) { l.refreshed = l.refreshed.Add(-d) }
