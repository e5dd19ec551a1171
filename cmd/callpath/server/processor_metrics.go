package server

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/callpath/callpath/relay/processor"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/chat"
	"github.com/callpath/callpath/signaling/chat/customerkey"
)

// meetingMetrics count what happens in meetings and chats, by kinds and rules: none of
// them has a name of anybody.
type meetingMetrics struct {
	media, chats, keys *prometheus.CounterVec
}

func newMeetingMetrics(counter func(name, help string, labels ...string) *prometheus.CounterVec) meetingMetrics {
	return meetingMetrics{
		media: counter("processor_events_total", "What happened to participants at the media processor, by kind.", "kind"),
		chats: counter("chat_decisions_total", "Decisions on the chats, by act, rule and outcome.", "act", "rule", "allowed"),
		keys:  counter("customer_key_actions_total", "Uses and changes of the customer's keys, by action and outcome.", "action", "allowed"),
	}
}

// hosted counts an event of the media processor.
func (m *metrics) hosted(e processor.Event) { m.meetings.media.WithLabelValues(string(e.Kind)).Inc() }

// chatted counts an event of the chats.
func (m *metrics) chatted(e chat.Event) {
	m.meetings.chats.WithLabelValues(string(e.Act), m.rules.value(e.Rule), strconv.FormatBool(e.Allowed)).Inc()
}

// keyed counts an event of the customer's keys.
func (m *metrics) keyed(e customerkey.Event) {
	m.meetings.keys.WithLabelValues(string(e.Action), strconv.FormatBool(e.Allowed)).Inc()
}

// mediaFigure is one value of processor.Stats.
type mediaFigure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(processor.Stats) float64
	label []string
}

// mediaFigures are those of the media processor.
func mediaFigures() []mediaFigure {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("callpath_processor_"+name, help, labels, nil)
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	packets := desc("packets_total", "RTP packets received from participants (in) and sent to receivers (out).", "direction")
	bytes := desc("bytes_total", "Bytes of RTP received (in) and sent (out), as UDP payload.", "direction")
	pli := desc("pli_total", "Requests for key frames, received (in) and sent (out).", "direction")
	in, out := []string{"in"}, []string{"out"}
	return []mediaFigure{
		{desc("conferences", "Meetings and group calls with media."), gauge, func(s processor.Stats) float64 { return float64(s.Conferences) }, nil},
		{desc("participants", "Participants whose offer was answered."), gauge, func(s processor.Stats) float64 { return float64(s.Participants) }, nil},
		{desc("connected", "Participants whose media flows."), gauge, func(s processor.Stats) float64 { return float64(s.Connected) }, nil},
		{packets, counter, func(s processor.Stats) float64 { return float64(s.PacketsIn) }, in},
		{packets, counter, func(s processor.Stats) float64 { return float64(s.PacketsOut) }, out},
		{bytes, counter, func(s processor.Stats) float64 { return float64(s.BytesIn) }, in},
		{bytes, counter, func(s processor.Stats) float64 { return float64(s.BytesOut) }, out},
		{pli, counter, func(s processor.Stats) float64 { return float64(s.PLIReceived) }, in},
		{pli, counter, func(s processor.Stats) float64 { return float64(s.PLISent) }, out},
		{desc("unsent_packets_total", "Packets that the socket did not take."), counter, func(s processor.Stats) float64 { return float64(s.Unsent) }, nil},
		{desc("nacked_packets_total", "Packets that senders were asked for again."), counter, func(s processor.Stats) float64 { return float64(s.Nacked) }, nil},
		{desc("retransmitted_packets_total", "Packets sent again to receivers."), counter, func(s processor.Stats) float64 { return float64(s.Retransmitted) }, nil},
		{desc("layer_switches_total", "Changes of a receiver's simulcast layer."), counter, func(s processor.Stats) float64 { return float64(s.Switches) }, nil},
	}
}

// meetingCollector reads the live figures of meetings when they are asked for.
type meetingCollector struct {
	server            *Server
	media             []mediaFigure
	drops             *prometheus.Desc
	meetings, present *prometheus.Desc
	waiting           *prometheus.Desc
}

func newMeetingCollector(s *Server) *meetingCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("callpath_"+name, help, labels, nil)
	}
	return &meetingCollector{
		server:   s,
		media:    mediaFigures(),
		drops:    desc("processor_dropped_packets_total", "Datagrams that the media processor dropped, by reason.", "reason"),
		meetings: desc("signaling_meetings", "Meetings and group calls with somebody in them."),
		present:  desc("signaling_meeting_participants", "People in meetings and group calls."),
		waiting:  desc("signaling_lobby_participants", "People who wait in lobbies."),
	}
}

// Describe implements prometheus.Collector.
func (c *meetingCollector) Describe(ch chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, ch)
}

// Collect implements prometheus.Collector.
func (c *meetingCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.server
	if s.controller != nil {
		stats := s.controller.Stats()
		c.signaling(ch, stats)
	}
	if s.host != nil {
		stats := s.host.processor.Stats()
		for _, f := range c.media {
			ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(stats), f.label...)
		}
		for reason, n := range stats.Drops {
			ch <- prometheus.MustNewConstMetric(c.drops, prometheus.CounterValue, float64(n), string(reason))
		}
	}
}

func (c *meetingCollector) signaling(ch chan<- prometheus.Metric, stats signaling.Stats) {
	ch <- prometheus.MustNewConstMetric(c.meetings, prometheus.GaugeValue, float64(stats.Meetings))
	ch <- prometheus.MustNewConstMetric(c.present, prometheus.GaugeValue, float64(stats.Present))
	ch <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(stats.Waiting))
}
