package meeting

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/callpath/callpath/bench/meeting/light"
	"github.com/callpath/callpath/signaling"
)

// participant is one who has joined.
type participant struct {
	number int
	group  string
	client *signaling.Client
	peer   peer
	// begun is when the way in began, answered when the media processor's answer was
	// there.
	begun, answered time.Time
	running         sync.WaitGroup // takes notifications
}

// enter signs a participant in, joins the group call, and connects. After an error
// everything is undone.
func enter(ctx context.Context, s *session, number int) (p *participant, err error) {
	o := &s.options
	p = &participant{number: number, group: s.groups[number%o.Meetings], begun: time.Now()}
	defer func() {
		if err != nil {
			p.undo()
		}
	}()
	cfg, err := s.client(ctx, number)
	if err != nil {
		return p, fmt.Errorf("sign in: %w", err)
	}
	if p.client, err = signaling.NewClient(cfg); err != nil {
		return p, err
	}
	if err := p.client.Connect(ctx); err != nil {
		return p, fmt.Errorf("sign in and connect: %w", err)
	}
	p.running.Go(func() {
		for range p.client.Notifications() { // who is where makes no difference to a load
		}
	})
	if _, err := p.client.JoinGroup(ctx, p.group); err != nil {
		return p, fmt.Errorf("join: %w", err)
	}
	through := relay{roots: cfg.RootCAs}
	if o.Transport != Direct {
		if through.servers, err = p.client.GroupICEServers(ctx, p.group); err != nil {
			return p, fmt.Errorf("ICE servers: %w", err)
		}
	}
	m := light.Media{Audio: o.Audio, Video: number/o.Meetings < o.Senders, AudioSlots: o.AudioSlots, VideoSlots: o.VideoSlots}
	if p.peer, err = s.crew.open(ctx, number, m, through); err != nil {
		return p, err
	}
	answer, err := p.client.GroupMedia(ctx, p.group, p.peer.Offer(), false)
	if err != nil {
		return p, fmt.Errorf("offer: %w", err)
	}
	p.answered = time.Now()
	return p, p.peer.Connect(ctx, answer)
}

// gone says whether the participant's media have ended by themselves.
func (p *participant) gone() bool {
	select {
	case <-p.peer.Failed():
		return true
	default:
		return false
	}
}

// leave leaves the group call and ends everything.
func (p *participant) leave(ctx context.Context) {
	// The server sees the end of the media in any case.
	_ = p.client.LeaveGroup(ctx, p.group)
	p.undo()
}

func (p *participant) undo() {
	if p.peer != nil {
		_ = p.peer.Close() // what is not told to the peer, it will see
	}
	if p.client != nil {
		_ = p.client.Close()
		p.running.Wait()
	}
}
