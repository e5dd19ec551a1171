// Package store keeps the records of the signaling controller over a restart:
// meetings, lobbies, policies, chat. It is one file (go.etcd.io/bbolt) of one process.
//
// What is in the file is sealed. A value is encrypted together with its key
// (XChaCha20-Poly1305), bound to its place, so that no record can stand for another;
// names of buckets and keys are HMAC-SHA-256 values. The keys for both are outside
// the file, in a KeyRing. What a dump of the file shows is how many buckets and
// records there are, their sizes, and which records are of one sequence in which
// order. It can't show that a record was put back to an older version of itself: who
// may write to the file may do that.
//
// A name is a bucket, a key, and for the records of a sequence, such as the messages
// of a thread, a number, by which they are ordered.
//
// A save returns after fsync. All saves that come while a commit is under way share
// the next one. Changes that are given together are made together.
//
// Old pages of the file hold ciphertext of records that were replaced or deleted,
// until Rotate writes a new file under new keys.
//
// It is not a database: no queries, no secondary order; and not for several processes.
// What an issuer of tokens keeps, is in identity/store.
//
// Start reading at Open and File.Begin, then seal.go.
package store
