// Package modern is the endpoint on pion/webrtc/v4, with pion/dtls/v3: what a
// current client is.
//
// Start reading at New; settings.go says how the stack is set up.
package modern
