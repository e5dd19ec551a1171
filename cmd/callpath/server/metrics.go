package server

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/callpath/callpath/relay/turn"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/identity"
)

// metrics are what /metrics tells. No label holds a name or an address of anybody,
// and each has a bounded number of values: a relay's metrics must not grow with its
// users.
type metrics struct {
	registry  *prometheus.Registry
	created   *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	failures  *prometheus.CounterVec
	events    *prometheus.CounterVec
	decisions *prometheus.CounterVec
	identity  *prometheus.CounterVec
	http      *prometheus.CounterVec
	meetings  meetingMetrics
	rules     bounded
}

// figure is one value of turn.Stats.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(turn.Stats) float64
	label []string
}

func newMetrics(s *Server) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "callpath", Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry:  prometheus.NewRegistry(),
		created:   counter("relay_allocations_created_total", "Allocations made, by the client's transport.", "transport"),
		refusals:  counter("relay_refusals_total", "What the relay refused, by kind and rule.", "kind", "rule"),
		failures:  counter("relay_authentication_failures_total", "Requests whose credential was refused, by reason.", "reason"),
		events:    counter("signaling_events_total", "What happened at the signaling controller, by kind.", "kind"),
		http:      counter("signaling_refused_requests_total", "Requests refused before anybody was known, by status.", "status"),
		decisions: counter("signaling_decisions_total", "Security decisions of signaling, by rule and outcome.", "rule", "allowed"),
		identity:  counter("identity_decisions_total", "Security decisions of the issuer of tokens, by action, rule and outcome.", "action", "rule", "allowed"),
	}
	m.meetings = newMeetingMetrics(counter)
	m.registry.MustRegister(m.meetings.media, m.meetings.chats, m.meetings.keys, newMeetingCollector(s))
	m.registry.MustRegister(m.created, m.refusals, m.failures, m.events, m.decisions, m.identity, m.http, newCollector(s),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// maxRules bounds the values of a label that can come from the configuration: each
// prefix of the peer policy is a rule.
const maxRules = 100

// bounded lets so many values pass, and turns the others into one.
type bounded struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (b *bounded) value(v string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[string]bool{}
	}
	if !b.seen[v] {
		if len(b.seen) >= maxRules {
			return "other"
		}
		b.seen[v] = true
	}
	return v
}

// relayed counts an event of the relay.
func (m *metrics) relayed(e turn.Event) {
	switch {
	case e.Kind == turn.AllocationCreated:
		m.created.WithLabelValues(string(e.Transport)).Inc()
	case e.Kind == turn.AuthenticationFailed:
		m.failures.WithLabelValues(m.rules.value(e.Rule)).Inc()
	case e.Kind.Refusal():
		m.refusals.WithLabelValues(string(e.Kind), m.rules.value(e.Rule)).Inc()
	}
}

// signaled counts an event of the controller.
func (m *metrics) signaled(e signaling.Event) {
	if e.Kind != signaling.EventAudit {
		m.events.WithLabelValues(string(e.Kind)).Inc()
		return
	}
	m.decisions.WithLabelValues(m.rules.value(e.Rule), strconv.FormatBool(e.Allowed)).Inc()
}

// identified counts an event of the issuer.
func (m *metrics) identified(e identity.Event) {
	m.identity.WithLabelValues(string(e.Action), m.rules.value(e.Rule), strconv.FormatBool(e.Allowed)).Inc()
}

// collector reads the live figures when they are asked for.
type collector struct {
	server      *Server
	relay       []figure
	calls       *prometheus.Desc
	webSockets  *prometheus.Desc
	draining    *prometheus.Desc
	certificate *prometheus.Desc
}

func newCollector(s *Server) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("callpath_"+name, help, labels, nil)
	}
	c := &collector{
		server:      s,
		calls:       desc("signaling_calls", "Calls that have not ended."),
		webSockets:  desc("signaling_websockets", "Clients that are connected for notifications."),
		draining:    desc("draining", "1 while the server takes nothing new and waits for the end of what lives."),
		certificate: desc("certificate_expiry_timestamp_seconds", "When the certificate in use expires."),
	}
	gauge := func(name, help string, value func(turn.Stats) float64) {
		c.relay = append(c.relay, figure{desc(name, help), prometheus.GaugeValue, value, nil})
	}
	counter := func(name, help string, value func(turn.Stats) uint64) {
		c.relay = append(c.relay, figure{desc(name, help), prometheus.CounterValue,
			func(s turn.Stats) float64 { return float64(value(s)) }, nil})
	}
	gauge("relay_allocations", "Live allocations.", func(s turn.Stats) float64 { return float64(s.Allocations) })
	gauge("relay_permissions", "Live permissions.", func(s turn.Stats) float64 { return float64(s.Permissions) })
	gauge("relay_channels", "Live channels.", func(s turn.Stats) float64 { return float64(s.Channels) })
	gauge("relay_connections", "TCP, TLS and DTLS connections of clients.", func(s turn.Stats) float64 { return float64(s.Connections) })
	counter("relay_packets_total", "Payloads relayed, both directions.", func(s turn.Stats) uint64 { return s.Packets })
	counter("relay_kernel_packets_total", "Payloads among them that were forwarded in the kernel.", func(s turn.Stats) uint64 { return s.KernelPackets })
	counter("relay_dropped_packets_total", "Datagrams not relayed: no permission, too long, or impossible to send.", func(s turn.Stats) uint64 { return s.Dropped })
	counter("relay_over_bandwidth_packets_total", "Payloads dropped by a bandwidth quota.", func(s turn.Stats) uint64 { return s.OverBandwidth })
	counter("relay_malformed_messages_total", "Messages that are neither STUN nor ChannelData.", func(s turn.Stats) uint64 { return s.Malformed })
	counter("relay_limited_requests_total", "Requests without a valid credential that were passed over.", func(s turn.Stats) uint64 { return s.Limited })
	counter("relay_refused_connections_total", "Connections closed by a limit.", func(s turn.Stats) uint64 { return s.TurnedAway })
	counter("relay_stale_nonces_total", "Requests answered with 438.", func(s turn.Stats) uint64 { return s.StaleNonces })
	bytes := desc("relay_bytes_total", "Bytes of payloads received for relaying (in) and sent on (out).", "direction")
	c.relay = append(c.relay,
		figure{bytes, prometheus.CounterValue, func(s turn.Stats) float64 { return float64(s.BytesIn) }, []string{"in"}},
		figure{bytes, prometheus.CounterValue, func(s turn.Stats) float64 { return float64(s.BytesOut) }, []string{"out"}})
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.server
	if s.relay != nil {
		stats := s.relay.Stats()
		for _, f := range c.relay {
			ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(stats), f.label...)
		}
	}
	if s.controller != nil {
		stats := s.controller.Stats()
		ch <- prometheus.MustNewConstMetric(c.calls, prometheus.GaugeValue, float64(stats.Calls))
		ch <- prometheus.MustNewConstMetric(c.webSockets, prometheus.GaugeValue, float64(stats.WebSockets))
	}
	drains := 0.0
	if s.phase.Load() == draining {
		drains = 1
	}
	ch <- prometheus.MustNewConstMetric(c.draining, prometheus.GaugeValue, drains)
	ch <- prometheus.MustNewConstMetric(c.certificate, prometheus.GaugeValue, float64(s.current.Load().certificate.Leaf.NotAfter.Unix()))
}
