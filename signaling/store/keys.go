package store

// KeyRing keeps the keys of a store, as a document that is secret and opaque. It
// stands for a secret manager where there is one.
type KeyRing interface {
	// Load returns nil and no error when there are no keys yet.
	Load() ([]byte, error)
	// Save replaces the document, wholly or not at all, and returns when it is durable.
	Save([]byte) error
}
