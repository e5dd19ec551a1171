package store

// Memory is a store that forgets with the process, for tests and scenarios. It is safe
// for concurrent use; the zero Memory is empty and ready.
type Memory struct{}
