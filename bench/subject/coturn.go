package subject

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/loader"
	"github.com/callpath/callpath/bench/process"
)

// coturn is the TURN server of that name, when it is installed.
type coturn struct{}

const coturnProgram = "turnserver"

// Name implements Subject.
func (coturn) Name() string { return "coturn" }

// Scheme implements Subject.
func (coturn) Scheme() loader.Scheme { return loader.TURN }

// Available implements Subject.
func (coturn) Available() error {
	if _, err := exec.LookPath(coturnProgram); err != nil {
		return errors.New("turnserver is not installed (Debian: coturn)")
	}
	return nil
}

// Summary implements Subject.
func (coturn) Summary() string { return coturnVersion() }

var coturnVersion = sync.OnceValue(func() string {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	// The version is on the last line; its exit code says nothing.
	said, _ := exec.CommandContext(ctx, coturnProgram, "--version").Output()
	lines := strings.Fields(string(said))
	if len(lines) == 0 {
		return "coturn"
	}
	return "coturn " + lines[len(lines)-1]
})

// Start implements Subject.
func (c coturn) Start(ctx context.Context, at Place) (*process.Process, error) {
	if err := c.Available(); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "callpath-bench-")
	if err != nil {
		return nil, fmt.Errorf("start coturn: %w", err)
	}
	remove := func() { _ = os.RemoveAll(folder) }
	file := filepath.Join(folder, "turnserver.conf")
	// The secret must not be seen in the list of processes.
	if err := os.WriteFile(file, []byte(c.config(at, folder)), 0o600); err != nil {
		remove()
		return nil, fmt.Errorf("start coturn: %w", err)
	}
	p, err := process.Start(process.Config{Command: []string{coturnProgram, "-c", file}, CPUs: at.CPUs, Within: at.Within, Ended: remove})
	if err != nil {
		remove()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	asked := func() error { return answers(ctx, p, at.Server) }
	if at.Within != nil {
		err = at.Within(asked)
	} else {
		err = asked()
	}
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("start coturn: %w (%s) %s", err, p.State(), p.Said())
	}
	return p, nil
}

// config is coturn's, as near to its defaults as the benchmark allows: loopback
// peers, no log, no quotas, nothing but UDP.
func (coturn) config(at Place, folder string) string {
	ip := at.Server.Addr()
	return strings.Join([]string{
		fmt.Sprintf("listening-ip=%s", ip), fmt.Sprintf("listening-port=%d", at.Server.Port()),
		fmt.Sprintf("relay-ip=%s", ip), fmt.Sprintf("min-port=%d", 49152), fmt.Sprintf("max-port=%d", 65535),
		"use-auth-secret", "static-auth-secret=" + string(at.Secret), "realm=" + Realm,
		fmt.Sprintf("total-quota=%d", load.MaxFlows),
		"allow-loopback-peers", "no-cli", "no-tls", "no-dtls", "no-tcp", "no-tcp-relay",
		"log-file=/dev/null", "no-stdout-log", "simple-log",
		"pidfile=" + filepath.Join(folder, "turnserver.pid"), "userdb=" + filepath.Join(folder, "turndb"), "",
	}, "\n")
}

// answers waits until a STUN server answers at an address.
func answers(ctx context.Context, p *process.Process, at netip.AddrPort) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp4", at.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return err
	}
	buffer := make([]byte, 1500)
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer at %v: %w", at, ctx.Err())
		case <-p.Ended():
			return errors.New("ended at once")
		case <-time.After(20 * time.Millisecond):
		}
		if _, err := conn.Write(request.Raw); err != nil {
			continue // refused: not there yet
		}
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return err
		}
		if n, err := conn.Read(buffer); err == nil && stun.IsMessage(buffer[:n]) {
			return nil
		}
	}
}
