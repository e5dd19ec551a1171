package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/callpath/callpath/cmd/callpath/server"
	"github.com/callpath/callpath/relay/turn"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// buildDir is a directory of this run of the tests, which TestMain removes.
var buildDir = filepath.Join(os.TempDir(), fmt.Sprintf("callpath-test-%d", os.Getpid()))

// program builds callpath once.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "callpath")
	out, err := exec.Command("go", "build", "-o", path, "github.com/callpath/callpath/cmd/callpath").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// target is a running server, on free ports of loopback, with what it says.
type target struct {
	t     *testing.T
	state string
	ended chan error

	mu      sync.Mutex
	changed *sync.Cond
	records []map[string]any // of its log
	at      map[string]netip.AddrPort
	said    []string // on its standard output

	// These are for a server in this process.
	stop   context.CancelFunc
	reload chan os.Signal
	hurry  chan struct{}
}

func newTarget(t *testing.T) *target {
	p := &target{t: t, state: t.TempDir(), ended: make(chan error, 1), at: map[string]netip.AddrPort{}}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// base are the flags of every target, before its own, which win.
func (p *target) base() []string {
	return []string{"--state=" + p.state, "--listen=127.0.0.1",
		"--relay-udp=0", "--relay-tcp=0", "--relay-tls=0", "--relay-dtls=0", "--processor-udp=0", "--signaling-https=0",
		"--admin-listen=127.0.0.1:0", "--log-format=json"}
}

// ready waits until it serves.
func (p *target) ready() {
	p.t.Helper()
	p.await("ready", func() bool { return p.has("serving") != nil && p.at["admin"].IsValid() })
}

// startServer starts one in this process, by the same flags.
func startServer(t *testing.T, flags ...string) *target {
	t.Helper()
	p := newTarget(t)
	given := map[string]string{}
	for _, f := range append(p.base(), flags...) {
		name, value, _ := strings.Cut(strings.TrimPrefix(f, "--"), "=")
		given[name] = value
	}
	p.state = given["state"]
	file := given["config"]
	delete(given, "config")
	cfg, err := server.Load(server.Source{File: file, Flags: given})
	ok(t, err)
	logs, logWriter := io.Pipe()
	out, outWriter := io.Pipe()
	log := slog.New(slog.NewJSONHandler(logWriter, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var reading sync.WaitGroup
	reading.Go(func() { p.readOutput(out) })
	reading.Go(func() { p.readLog(logs) })
	s, err := server.New(t.Context(), cfg, log)
	ok(t, err)
	s.Welcome(outWriter)
	ctx, stop := context.WithCancel(context.Background())
	p.reload, p.hurry = make(chan os.Signal), make(chan struct{})
	go func() {
		report, err := s.Run(ctx, server.Signals{Reload: p.reload, Hurry: p.hurry})
		fmt.Fprintln(outWriter, report)
		outWriter.Close()
		logWriter.Close()
		reading.Wait()
		p.ended <- err
	}()
	t.Cleanup(func() {
		stop()
		select {
		case <-p.hurry:
		default:
			close(p.hurry)
		}
		ok(t, p.wait())
	})
	p.stop = stop
	p.ready()
	return p
}

// end stops a server of this process before the test ends.
func (p *target) end() {
	p.t.Helper()
	close(p.hurry)
	p.stop()
	ok(p.t, p.wait())
}

// process is callpath serve as a process of its own.
type process struct {
	*target
	cmd *exec.Cmd
}

// startProcess starts it with the flags and waits until it is ready.
func startProcess(t *testing.T, flags ...string) *process {
	t.Helper()
	path, err := program()
	ok(t, err)
	p := &process{target: newTarget(t)}
	p.cmd = exec.Command(path, append(append([]string{"serve"}, p.base()...), flags...)...)
	out, err := p.cmd.StdoutPipe()
	ok(t, err)
	logs, err := p.cmd.StderrPipe()
	ok(t, err)
	ok(t, p.cmd.Start())
	var reading sync.WaitGroup
	reading.Go(func() { p.readOutput(out) })
	reading.Go(func() { p.readLog(logs) })
	go func() {
		reading.Wait()
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		p.wait()
	})
	p.ready()
	return p
}

func (p *target) wait() error {
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(patience):
		p.t.Error("the process did not end")
		return nil
	}
}

// readOutput learns the ports from the welcome.
func (p *target) readOutput(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Text()
		p.mu.Lock()
		p.said = append(p.said, line)
		for key, start := range map[string]string{"udp": "  turn udp", "tcp": "  turn tcp", "tls": "  turn tls",
			"dtls": "  turn dtls", "https": "  signaling  https://", "admin": "  admin      http://"} {
			if rest, ok := strings.CutPrefix(line, start); ok {
				p.at[key], _ = netip.ParseAddrPort(strings.Fields(rest)[0])
			}
		}
		p.changed.Broadcast()
		p.mu.Unlock()
	}
}

func (p *target) readLog(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var record map[string]any
		if json.Unmarshal(lines.Bytes(), &record) != nil {
			record = map[string]any{"msg": lines.Text()}
		}
		p.mu.Lock()
		p.records = append(p.records, record)
		p.changed.Broadcast()
		p.mu.Unlock()
	}
}

// await waits until done, which is called with mu held.
func (p *target) await(what string, done func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	stop := time.AfterFunc(patience, func() { p.mu.Lock(); p.changed.Broadcast(); p.mu.Unlock() })
	defer stop.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !done() {
		if !time.Now().Before(deadline) {
			p.t.Fatalf("waited in vain: %s; said %q, logged %v", what, p.said, p.records)
		}
		p.changed.Wait()
	}
}

// has finds a record by its message; mu is held.
func (p *target) has(message string) map[string]any {
	for _, r := range p.records {
		if r["msg"] == message {
			return r
		}
	}
	return nil
}

// secret is the relay's.
func (p *target) secret() string {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.state, "relay.secret"))
	ok(p.t, err)
	return strings.TrimSpace(string(data))
}

func (p *target) credential(user string) (username, password string) {
	return turn.Credential([]byte(p.secret()), user, "", time.Now().Add(time.Hour))
}

// get asks the admin endpoint.
func (p *target) get(path string) (status int, body string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.at["admin"].String()+path, nil)
	ok(p.t, err)
	req.Close = true
	re, err := http.DefaultClient.Do(req)
	ok(p.t, err)
	defer re.Body.Close()
	data, err := io.ReadAll(re.Body)
	ok(p.t, err)
	return re.StatusCode, string(data)
}

// metric is the value of a metric without labels, as text.
func (p *target) metric(name string) string {
	p.t.Helper()
	_, body := p.get("/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	p.t.Fatalf("no metric %s in\n%s", name, body)
	return ""
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	ok(p.t, p.cmd.Process.Signal(s))
}

func ok(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// execute runs a foreign program.
func execute(t *testing.T, name string, arguments ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}
