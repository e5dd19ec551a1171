// Package generator sends frames as fast as a network card's driver does, so that it is
// not the limit of what it is to measure: a socket costs its sender about as much for a
// packet as a relay in the kernel costs altogether.
//
// Its frames have no socket. The system call BPF_PROG_RUN runs a program of XDP with
// live frames (Linux 5.18), again and again; the program (bpf/frames.c) fills a frame
// in, as one of many flows in turn, and sends it out of an interface (XDP_REDIRECT).
// What comes out on the other side of a relay is counted and dropped before the network
// layer (tcx, Linux 6.6).
//
// The load is open: frames are due at a rate, whether what they go through keeps up or
// not. Those that could only be sent as part of a burst of more than 64, because the
// system had held the generator up, are not sent; Result says how many.
//
// It does not make flows. Whoever has made them sends some of their packets, of which
// Capture takes copies: from then on the generator sends those, with a payload of
// zeros.
//
// Start reading at Capture, Open and Send, then emit in bpf/frames.c.
package generator

//go:generate clang-14 -O2 -g -target bpfel -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -I/usr/include/x86_64-linux-gnu -ffile-prefix-map=.=. -c bpf/frames.c -o bpf/frames.o
//go:generate llvm-strip-14 -g bpf/frames.o
