package server_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// SIGTERM under 200 live streams: nothing new is taken, nothing that lives loses a
// packet, and the report says so.
func TestSIGTERMLosesNoPacketOfLiveStreams(t *testing.T) {
	const streams, before, after = 200, 3, 10
	p := startProcess(t, "--relay-peers-allow=127.0.0.0/8", "--relay-quota-allocations-per-user=1000", "--drain=60s")
	echo := echoPeer(t)
	user, password := p.credential("alice")
	late := p.session("udp", user, password)
	sessions := make([]*session, streams)
	for i := range sessions {
		sessions[i] = p.session("udp", user, password)
		sessions[i].mustAllocate()
		if code := codeOf(sessions[i].channel(0x4000, echo)); code != 0 {
			t.Fatalf("channel refused with %d", code)
		}
	}
	var warm, streaming sync.WaitGroup
	var sent atomic.Int64
	draining := make(chan struct{})
	for _, s := range sessions {
		warm.Add(1)
		streaming.Go(func() {
			left := -1
			for n := uint32(0); left != 0; n++ {
				if n == before {
					warm.Done()
				}
				sent.Add(1)
				if err := s.ping(0x4000, n); err != nil {
					t.Error(err)
					if n < before {
						warm.Done()
					}
					return
				}
				time.Sleep(100 * time.Millisecond) // the pace of the stream
				select {
				case <-draining:
					if left < 0 {
						left = after
					}
					left--
				default:
				}
			}
		})
	}
	warm.Wait()
	p.signal(syscall.SIGTERM)
	p.await("draining", func() bool { return p.has("draining") != nil })
	if status, body := p.get("/readyz"); status != http.StatusServiceUnavailable || strings.TrimSpace(body) != "draining" {
		t.Errorf("/readyz while draining: %d %q", status, body)
	}
	if status, _ := p.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz while draining: %d", status)
	}
	if code := codeOf(late.allocate()); code != stun.CodeInsufficientCapacity {
		t.Errorf("a new allocation while draining: wanted 508, got %d", code)
	}
	close(draining)
	streaming.Wait()
	if n := p.metric("callpath_relay_dropped_packets_total"); n != "0" {
		t.Errorf("packets dropped: %s", n)
	}
	for _, s := range sessions {
		s.free()
	}
	ok(t, p.wait())
	said := p.said[len(p.said)-1]
	if !strings.Contains(said, "of 200 allocations 200 ended by themselves and 0 at the deadline") || !strings.Contains(said, " 0 dropped") {
		t.Errorf("report: %s", said)
	}
	t.Logf("%d packets sent, all came back; %s", sent.Load(), said)
}

func TestTheDeadlineEndsWhatIsLeft(t *testing.T) {
	p := startProcess(t, "--drain=1s")
	p.alice("udp").mustAllocate()
	p.alice("tls").mustAllocate()
	p.signal(syscall.SIGTERM)
	ok(t, p.wait())
	if said := p.said[len(p.said)-1]; !strings.Contains(said, "of 2 allocations 0 ended by themselves and 2 at the deadline") {
		t.Errorf("report: %s", said)
	}
}

func TestASecondSignalEndsTheWaiting(t *testing.T) {
	p := startProcess(t, "--drain=1h")
	p.alice("udp").mustAllocate()
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGTERM) // at once: the same, sent to a group
	p.await("draining", func() bool { return p.has("draining") != nil })
	time.Sleep(1100 * time.Millisecond) // longer than what counts as the same
	p.signal(syscall.SIGINT)
	ok(t, p.wait())
	if said := p.said[len(p.said)-1]; !strings.Contains(said, "1 at the deadline") {
		t.Errorf("report: %s", said)
	}
}
