// Package fan measures what a media processor's packet costs by the number of those who
// receive it: one SRTP packet comes in, is opened once, and is sealed for each receiver
// with a key of its own and sent from one socket to the receiver's (relay/forward/fanout
// by relay/forward's Port). Beside it stands the floor: sealing as many packets, and
// sending as many sealed ones in the same batches, and nothing else.
//
// It is not a relay under load: nothing comes from a socket, nobody reads what is sent,
// and one goroutine does everything on a thread of its own, whose CPU time is counted.
// So a figure has the sending in it, up to the receivers' sockets, and no receiving.
//
// Start reading at Measure.
package fan
