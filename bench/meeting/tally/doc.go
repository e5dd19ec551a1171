// Package tally counts what the participants of a load send and receive, and gives the
// figures as percentiles. It knows no sockets and no clocks: times are handed in.
//
// Every media packet of the load ends in a Stamp, which says when it was due. What is due
// at a moment is due whether the generator, or the server, keeps up or not: a packet's
// latency runs from then, and how late the generator itself was stands beside it.
//
// Loss and jitter are those of RFC 3550, taken for each stream and each second (an
// interval). An interval of a stream of voice is scored by itself, by ITU-T G.107, so
// that one gap does not spoil what comes after it. Intervals that are alike are counted
// together, so that the tally's size does not grow with the load.
//
// Start reading at Tally and Stream.
package tally
