package signaling

import (
	"context"
	"net/http"
)

// CreateGroup makes a group call for those named only, and invites them.
func (c *Client) CreateGroup(ctx context.Context, in GroupRequest) (Meeting, error) {
	var out Meeting
	err := c.do(ctx, http.MethodPost, "/v1/groups", in, &out)
	return out, err
}

// Group reads a group call in which the user is, or to which they are invited.
func (c *Client) Group(ctx context.Context, id string) (Meeting, error) {
	var out Meeting
	err := c.do(ctx, http.MethodGet, groupPath(id, ""), nil, &out)
	return out, err
}

// JoinGroup joins the group call of an ID, which is a UUID; the first to join makes
// it, and decides its region.
func (c *Client) JoinGroup(ctx context.Context, id string) (Admission, error) {
	var out Admission
	err := c.do(ctx, http.MethodPost, groupPath(id, "join"), joinRequest{}, &out)
	return out, err
}

// LeaveGroup leaves a group call.
func (c *Client) LeaveGroup(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, groupPath(id, "leave"), nil, nil)
}

// GroupParticipants reads the roster.
func (c *Client) GroupParticipants(ctx context.Context, id string) ([]MeetingParticipant, error) {
	var out participantsResponse
	err := c.do(ctx, http.MethodGet, groupPath(id, "participants"), nil, &out)
	return out.Participants, err
}

// GroupMedia is as MeetingMedia.
func (c *Client) GroupMedia(ctx context.Context, id, offer string, mix bool) (answer string, err error) {
	var out mediaResponse
	err = c.do(ctx, http.MethodPost, groupPath(id, "media"), mediaRequest{Offer: offer, Mix: mix}, &out)
	return out.Answer, err
}

// GroupLayout is as MeetingLayout.
func (c *Client) GroupLayout(ctx context.Context, id string) ([]Slot, error) {
	var out layoutResponse
	err := c.do(ctx, http.MethodGet, groupPath(id, "layout"), nil, &out)
	return out.Slots, err
}

// GroupICEServers is as MeetingICEServers.
func (c *Client) GroupICEServers(ctx context.Context, id string) ([]ICEServer, error) {
	var out iceServersResponse
	err := c.do(ctx, http.MethodPost, "/v1/ice-servers", iceServersRequest{Group: id}, &out)
	return out.ICEServers, err
}

func groupPath(id, rest string) string { return conferencePath("/v1/groups/", id, rest) }
