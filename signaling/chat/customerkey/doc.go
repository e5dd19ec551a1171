// Package customerkey encrypts stored chat under keys that the customer holds, after
// the hierarchy of Microsoft Purview Customer Key:
//
//	root key 1, root key 2    the customer's, in a KeyVault, never outside it
//	    each wraps
//	policy key, version n     of a tenant's data encryption policy; a Store holds it
//	                          twice, wrapped by each root key
//	    wraps
//	data key                  one a message, wrapped at the head of its ciphertext
//	    encrypts
//	message                   bound to tenant, chat and message by associated data
//
// Both root keys are needed to create a policy, to rotate its key and to move it to
// other root keys. Either is enough to read and write: with one revoked, the other is
// the recovery. With both revoked every Open and Seal that begins afterwards is
// refused at once, since no plaintext key is kept between calls: each call asks the
// vault, OpenAll once for each version. (A call already under way ends. Key bytes of
// an ended call may stay in memory until the garbage collector takes them; Go can't
// promise more.) Restoring either makes all readable again.
//
// Microsoft keeps a third key, the availability key, with which it can recover data
// when a customer has lost both. There is none here: when both root keys are
// destroyed, the chat is gone for good.
//
// Rotation makes a new version of the policy key for new messages; old messages keep
// theirs and stay readable. Rewrap changes the root keys of all versions and leaves
// the messages as they are.
//
// The ciphers are Tink's: AES-256-GCM keysets, and its KMS envelope for the messages.
// It is a pure library without goroutines: signaling/chat is built on it, seals
// a message before it stores it, and brings its own Store. Neither errors nor events
// hold a key or plaintext, if those of the KeyVault don't.
//
// Start reading at Keys.Seal and Keys.Open, then policy.go.
package customerkey
