package host

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// errnos gives the stack's errors the numbers that a kernel would have
// returned, so that errors.Is(err, syscall.ECONNREFUSED) works.
var errnos = func() map[string]syscall.Errno {
	table := []struct {
		err   tcpip.Error
		errno syscall.Errno
	}{
		{&tcpip.ErrAborted{}, syscall.ECONNABORTED},
		{&tcpip.ErrAddressFamilyNotSupported{}, syscall.EAFNOSUPPORT},
		{&tcpip.ErrAlreadyBound{}, syscall.EINVAL},
		{&tcpip.ErrAlreadyConnected{}, syscall.EISCONN},
		{&tcpip.ErrAlreadyConnecting{}, syscall.EALREADY},
		{&tcpip.ErrBadAddress{}, syscall.EFAULT},
		{&tcpip.ErrBadLocalAddress{}, syscall.EADDRNOTAVAIL},
		{&tcpip.ErrBroadcastDisabled{}, syscall.EACCES},
		{&tcpip.ErrClosedForSend{}, syscall.EPIPE},
		{&tcpip.ErrConnectionAborted{}, syscall.ECONNABORTED},
		{&tcpip.ErrConnectionRefused{}, syscall.ECONNREFUSED},
		{&tcpip.ErrConnectionReset{}, syscall.ECONNRESET},
		{&tcpip.ErrDestinationRequired{}, syscall.EDESTADDRREQ},
		{&tcpip.ErrHostDown{}, syscall.EHOSTDOWN},
		{&tcpip.ErrHostUnreachable{}, syscall.EHOSTUNREACH},
		{&tcpip.ErrInvalidEndpointState{}, syscall.EINVAL},
		{&tcpip.ErrMessageTooLong{}, syscall.EMSGSIZE},
		{&tcpip.ErrNetworkUnreachable{}, syscall.ENETUNREACH},
		{&tcpip.ErrNoBufferSpace{}, syscall.ENOBUFS},
		{&tcpip.ErrNoNet{}, syscall.ENETDOWN},
		{&tcpip.ErrNoPortAvailable{}, syscall.EADDRINUSE},
		{&tcpip.ErrNotConnected{}, syscall.ENOTCONN},
		{&tcpip.ErrNotPermitted{}, syscall.EPERM},
		{&tcpip.ErrNotSupported{}, syscall.EOPNOTSUPP},
		{&tcpip.ErrPortInUse{}, syscall.EADDRINUSE},
		{&tcpip.ErrTimeout{}, syscall.ETIMEDOUT},
	}
	m := make(map[string]syscall.Errno, len(table))
	for _, row := range table {
		m[row.err.String()] = row.errno
	}
	return m
}()

// bare turns an error of the stack into a Go error without context: nil, io.EOF,
// an errno, or words.
func bare(err tcpip.Error) error {
	switch err.(type) {
	case nil:
		return nil
	case *tcpip.ErrClosedForReceive:
		return io.EOF
	}
	if errno, known := errnos[err.String()]; known {
		return errno
	}
	return errors.New(err.String())
}

// opError gives an error of the socket the context that package net gives.
func (s *socket) opError(op string, err error) error {
	return opError(op, s.proto, s.local, s.remote, err)
}

// opError makes a *net.OpError. An errno is named by its system call, whose
// name is also that of the operation except for the first half of a dial.
func opError(op, network string, source, to netip.AddrPort, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		call := op
		if known, ok := map[string]string{"dial": "connect", "listen": "bind"}[op]; ok {
			call = known
		}
		err = os.NewSyscallError(call, errno)
	}
	return &net.OpError{Op: op, Net: network, Source: netAddr(network, source), Addr: netAddr(network, to), Err: err}
}

// netAddr returns a nil interface for the zero AddrPort.
func netAddr(network string, ap netip.AddrPort) net.Addr {
	switch {
	case !ap.Addr().IsValid():
		return nil
	case network[:3] == "udp":
		return udpAddr(ap)
	}
	return tcpAddr(ap)
}
