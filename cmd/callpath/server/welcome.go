package server

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/callpath/callpath/relay/turn"
)

// Welcome prints what the server listens on, and how to try it. It prints no
// secret, only where they are.
func (s *Server) Welcome(w io.Writer) {
	line := func(what string, at []string) {
		if len(at) > 0 {
			fmt.Fprintf(w, "  %-10s %s\n", what, strings.Join(at, "  "))
		}
	}
	fmt.Fprintln(w, "callpath serves")
	var udp []string
	for _, pc := range s.sockets.packets {
		udp = append(udp, pc.LocalAddr().String())
	}
	line("turn udp", udp)
	for _, t := range []turn.Transport{turn.TCP, turn.TLS, turn.DTLS} {
		var at []string
		for _, l := range s.sockets.streams {
			if l.Transport == t {
				at = append(at, l.Addr().String())
			}
		}
		line("turn "+string(t), at)
	}
	if s.host != nil {
		var at []string
		for _, candidate := range s.host.candidates {
			at = append(at, candidate.String())
		}
		line("media udp", at)
	}
	var https []string
	for _, l := range s.sockets.signaling {
		https = append(https, "https://"+l.Addr().String())
	}
	line("signaling", https)
	for i := range https {
		https[i] += "/"
	}
	line("web client", https)
	if s.admin != nil {
		line("admin", []string{"http://" + s.admin.Addr().String() + "  /healthz /readyz /metrics"})
	}
	line("state", []string{s.cfg.State})
	if s.cfg.Certificate.Chain == "" {
		line("trust", []string{s.keys.state.path(fileRoot)})
	}
	if s.identity != nil {
		line("issuer", []string{s.issuer()})
	}
	for _, a := range s.current.Load().people.accounts {
		at := a.ID + " (" + a.Kind + ")"
		if a.file != "" {
			at += ", whose password is in " + a.file
		}
		line("user", []string{at})
	}
	s.hints(w)
}

func (s *Server) hints(w io.Writer) {
	var tries []string
	if pc := s.sockets.packets; len(pc) > 0 {
		at := addrPort(pc[0].LocalAddr())
		tries = append(tries, fmt.Sprintf(`turnutils_uclient -y -c -u alice -W "$(cat %s)"%s %s`, s.secretFile(), portFlag(at), at.Addr()))
	}
	for _, l := range s.sockets.streams {
		if l.Transport == turn.TLS {
			at := addrPort(l.Addr())
			tries = append(tries, fmt.Sprintf(`turnutils_uclient -t -S -y -c -u alice -W "$(cat %s)" -p %d %s`, s.secretFile(), at.Port(), at.Addr()))
			break
		}
	}
	if accounts := s.current.Load().people.accounts; len(accounts) > 0 {
		tries = append(tries, fmt.Sprintf("callpath identity token --state %s --issuer %s %s", s.cfg.State, s.issuer(), accounts[0].ID))
	}
	if s.admin != nil {
		tries = append(tries, "curl http://"+s.admin.Addr().String()+"/metrics")
	}
	if len(tries) > 0 {
		fmt.Fprintf(w, "try\n  %s\n", strings.Join(tries, "\n  "))
	}
}

// portFlag is empty for the port that every TURN client takes by itself.
func portFlag(at netip.AddrPort) string {
	if at.Port() == 3478 {
		return ""
	}
	return " -p " + strconv.Itoa(int(at.Port()))
}

// secretFile is that of the secret that makes credentials.
func (s *Server) secretFile() string {
	if files := s.cfg.Relay.Secrets; len(files) > 0 {
		return files[0]
	}
	return s.keys.state.path(fileSecret)
}
