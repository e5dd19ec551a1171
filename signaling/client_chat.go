package signaling

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
)

// Chat is the chat of a meeting, or one apart from meetings. Its requests need a
// token with the scope "chat".
type Chat struct {
	client *Client
	path   string
}

// MeetingChat is the chat of a meeting. It sends nothing.
func (c *Client) MeetingChat(id string) Chat { return Chat{c, meetingPath(id, "messages")} }

// ThreadChat is a chat apart from meetings. It sends nothing.
func (c *Client) ThreadChat(id string) Chat {
	return Chat{c, conferencePath("/v1/threads/", id, "messages")}
}

// CreateThread begins a chat with others, and returns its ID.
func (c *Client) CreateThread(ctx context.Context, members ...string) (id string, err error) {
	var out threadResponse
	err = c.do(ctx, http.MethodPost, "/v1/threads", threadRequest{Members: members}, &out)
	return out.ID, err
}

// Send sends a message. What a rule of data loss prevention withholds is a Problem with
// CodeBlocked or CodeWithheld, with the rule and its policy tips.
func (t Chat) Send(ctx context.Context, text string) (ChatMessage, error) {
	return t.SendRequest(ctx, MessageRequest{Text: text})
}

// SendRequest is Send with an override of what was withheld.
func (t Chat) SendRequest(ctx context.Context, in MessageRequest) (ChatMessage, error) {
	var out ChatMessage
	err := t.client.do(ctx, http.MethodPost, t.path, in, &out)
	return out, err
}

// Messages reads a page of the history, oldest first. after is empty for the first
// page, then the next that the last call returned; an empty next is the end, from which
// the number of the last message goes on.
func (t Chat) Messages(ctx context.Context, after string) (messages []ChatMessage, next string, err error) {
	var out messagesResponse
	err = t.client.do(ctx, http.MethodGet, t.path+"?after="+url.QueryEscape(cmp.Or(after, "0")), nil, &out)
	return out.Messages, out.Next, err
}

// Edit replaces the text of one of the user's own messages.
func (t Chat) Edit(ctx context.Context, message, text string) (ChatMessage, error) {
	var out ChatMessage
	err := t.client.do(ctx, http.MethodPatch, t.path+"/"+url.PathEscape(message), MessageRequest{Text: text}, &out)
	return out, err
}

// Delete deletes one of the user's own messages.
func (t Chat) Delete(ctx context.Context, message string) error {
	return t.client.do(ctx, http.MethodDelete, t.path+"/"+url.PathEscape(message), nil, nil)
}
