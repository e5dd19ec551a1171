package signaling

import (
	"context"
	"net/http"
	"net/url"

	"github.com/callpath/callpath/signaling/meeting/policy"
)

// CreateMeeting schedules a meeting, of which the client's user is the organizer.
func (c *Client) CreateMeeting(ctx context.Context, in MeetingRequest) (Meeting, error) {
	var out Meeting
	err := c.do(ctx, http.MethodPost, "/v1/meetings", in, &out)
	return out, err
}

// Meeting reads a meeting.
func (c *Client) Meeting(ctx context.Context, id string) (Meeting, error) {
	var out Meeting
	err := c.do(ctx, http.MethodGet, meetingPath(id, ""), nil, &out)
	return out, err
}

// SetMeetingOptions changes the options that are named, and leaves the others; see
// MeetingRequest.Options.
func (c *Client) SetMeetingOptions(ctx context.Context, id string, options map[string]any) (Meeting, error) {
	var out Meeting
	err := c.do(ctx, http.MethodPatch, meetingPath(id, "options"), options, &out)
	return out, err
}

// EndMeeting ends a meeting for all, for good.
func (c *Client) EndMeeting(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, meetingPath(id, "end"), nil, nil)
}

// JoinMeeting asks to get in. In the lobby it returns at once: NotifyMeetingAdmitted
// or NotifyMeetingRejected follows. Joined again, it tells where the user is.
func (c *Client) JoinMeeting(ctx context.Context, id string) (Admission, error) {
	var out Admission
	err := c.do(ctx, http.MethodPost, meetingPath(id, "join"), joinRequest{}, &out)
	return out, err
}

// LeaveMeeting leaves the meeting or its lobby.
func (c *Client) LeaveMeeting(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, meetingPath(id, "leave"), nil, nil)
}

// MeetingParticipants reads the roster; for those who may admit, with the lobby.
func (c *Client) MeetingParticipants(ctx context.Context, id string) ([]MeetingParticipant, error) {
	var out participantsResponse
	err := c.do(ctx, http.MethodGet, meetingPath(id, "participants"), nil, &out)
	return out.Participants, err
}

// Admit lets somebody in from the lobby.
func (c *Client) Admit(ctx context.Context, id, participant string) error {
	return c.do(ctx, http.MethodPost, meetingPath(id, "lobby/"+url.PathEscape(participant)+"/admit"), nil, nil)
}

// AdmitAll lets in everybody who waits in the lobby.
func (c *Client) AdmitAll(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, meetingPath(id, "lobby/admit-all"), nil, nil)
}

// RejectParticipant sends somebody away from the lobby.
func (c *Client) RejectParticipant(ctx context.Context, id, participant string) error {
	return c.do(ctx, http.MethodPost, meetingPath(id, "lobby/"+url.PathEscape(participant)+"/reject"), nil, nil)
}

// RemoveParticipant sends somebody out of the meeting.
func (c *Client) RemoveParticipant(ctx context.Context, id, participant string) error {
	return c.do(ctx, http.MethodPost, meetingPath(id, "participants/"+url.PathEscape(participant)+"/remove"), nil, nil)
}

// SetRole makes somebody who is present a presenter or an attendee.
func (c *Client) SetRole(ctx context.Context, id, participant string, role policy.Role) error {
	return c.do(ctx, http.MethodPost, meetingPath(id, "participants/"+url.PathEscape(participant)+"/role"), roleRequest{Role: role}, nil)
}

// MeetingMedia sends an offer to the meeting's media processor and returns its
// answer, both as SDP. It is for those present only. With mix, all audio comes as
// one mixed stream.
func (c *Client) MeetingMedia(ctx context.Context, id, offer string, mix bool) (answer string, err error) {
	var out mediaResponse
	err = c.do(ctx, http.MethodPost, meetingPath(id, "media"), mediaRequest{Offer: offer, Mix: mix}, &out)
	return out.Answer, err
}

// MeetingLayout reads who is on which slot, as the last NotifyMeetingLayout had it.
func (c *Client) MeetingLayout(ctx context.Context, id string) ([]Slot, error) {
	var out layoutResponse
	err := c.do(ctx, http.MethodGet, meetingPath(id, "layout"), nil, &out)
	return out.Slots, err
}

// MeetingICEServers returns the ICE servers with credentials that are tied to a
// meeting in which the user is present.
func (c *Client) MeetingICEServers(ctx context.Context, id string) ([]ICEServer, error) {
	var out iceServersResponse
	err := c.do(ctx, http.MethodPost, "/v1/ice-servers", iceServersRequest{Meeting: id}, &out)
	return out.ICEServers, err
}

func meetingPath(id, rest string) string { return conferencePath("/v1/meetings/", id, rest) }

func conferencePath(base, id, rest string) string {
	path := base + url.PathEscape(id)
	if rest != "" {
		path += "/" + rest
	}
	return path
}
