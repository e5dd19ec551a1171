// Package processor is the media processor of group calls and meetings: a selective
// forwarding unit (RFC 7667, section 3.7), and a mixer of audio (section 3.4).
package processor
