package turn

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/pion/stun/v4"
)

// refusals says which event a refused request of an authenticated user is.
var refusals = map[stun.Method]EventKind{
	stun.MethodAllocate:         AllocationRefused,
	stun.MethodRefresh:          RefreshRefused,
	stun.MethodCreatePermission: PermissionDenied,
	stun.MethodChannelBind:      ChannelDenied,
}

// verdicts are the rules and reasons of what the engine refuses by itself.
var verdicts = map[stun.ErrorCode]struct{ rule, reason string }{
	stun.CodeBadRequest:             {RuleRequest, "the request is malformed, or contradicts itself or an earlier one"},
	stun.CodeUnknownAttribute:       {RuleAttribute, "the request needs an attribute that this relay does not know"},
	stun.CodeAllocMismatch:          {RuleAllocation, "client has an allocation already"},
	stun.CodeAddrFamilyNotSupported: {RuleAddressFamily, "the address family is none that this relay knows"},
	stun.CodePeerAddrFamilyMismatch: {RulePeerFamily, "the peer's address family is not the allocation's"},
	stun.CodeUnsupportedTransProto:  {RuleTransport, "the transport is none that this relay knows"},
	stun.CodeInsufficientCapacity:   {RulePorts, "the reservation is unknown, or there is no port"},
}

// respond sends the engine's response. Where a hook had a reason that the engine
// has no code for, the response is made anew: the engine answers a forbidden
// channel with 401, by which a client would only try again, and anything that the
// making of a relay socket fails for with 508.
func (f *front) respond(p []byte, to net.Addr) error {
	r := &f.request
	r.answered = true
	if r.probe {
		return f.probed(p)
	}
	if r.message == nil || r.key == nil {
		_, err := f.PacketConn.WriteTo(p, to)
		return err
	}
	response := &stun.Message{Raw: p}
	if err := response.Decode(); err != nil {
		return fmt.Errorf("engine's response: %w", err)
	}
	if response.Type.Class == stun.ClassSuccessResponse {
		f.refreshed(response)
		_, err := f.PacketConn.WriteTo(p, to)
		return err
	}
	var code stun.ErrorCodeAttribute
	if err := code.GetFrom(response); err != nil {
		return fmt.Errorf("engine's error response: %w", err)
	}
	if !r.told {
		r.told = true
		if kind, ok := refusals[r.message.Type.Method]; ok {
			e := f.event(kind)
			why := verdicts[code.Code]
			e.Code, e.Rule, e.Reason = int(code.Code), why.rule, why.reason
			f.server.report(e)
		}
	}
	if r.code != 0 && r.code != code.Code {
		return f.answer(r.code, to)
	}
	_, err := f.PacketConn.WriteTo(p, to)
	return err
}

// answerMismatch answers a request about an allocation that the client does not
// have (437) or that another user made (441): RFC 8656, section 5. The engine says
// nothing, so that a client would find out only after all of its retransmissions.
func (f *front) answerMismatch() {
	r := &f.request
	kind, ok := refusals[r.message.Type.Method]
	if !ok {
		return
	}
	e := f.event(kind)
	code := stun.CodeAllocMismatch
	e.Rule, e.Reason = RuleAllocation, "client has no allocation"
	if a := f.allocation(r.client); a != nil {
		code = stun.CodeWrongCredentials
		e.Rule, e.Reason = RuleOwner, "allocation was made by another user or for another call"
	}
	f.refuse(e, code)
	if err := f.answer(code, net.UDPAddrFromAddrPort(r.client)); err != nil {
		f.server.cfg.Log.Debug("answer not sent", "client", r.client, "error", err)
	}
}

// answer sends an error response to the request.
func (f *front) answer(code stun.ErrorCode, to net.Addr) error {
	r := &f.request
	attributes := []stun.Setter{
		&stun.Message{TransactionID: r.message.TransactionID},
		stun.NewType(r.message.Type.Method, stun.ClassErrorResponse),
		code,
	}
	if code == stun.CodeUnknownAttribute {
		attributes = append(attributes, stun.UnknownAttributes{stun.AttrDontFragment}) // the only one refused here
	}
	m, err := stun.Build(append(attributes, r.key)...)
	if err != nil {
		return fmt.Errorf("building response %d: %w", code, err)
	}
	_, err = f.PacketConn.WriteTo(m.Raw, to)
	return err
}

// refreshed reports a refresh, unless it ended the allocation, whose closing is
// reported then.
func (f *front) refreshed(response *stun.Message) {
	if response.Type.Method != stun.MethodRefresh {
		return
	}
	value, err := response.Get(stun.AttrLifetime)
	if err != nil || len(value) != 4 {
		return
	}
	if lifetime := time.Duration(binary.BigEndian.Uint32(value)) * time.Second; lifetime > 0 {
		e := f.event(AllocationRefreshed)
		e.Reason = "for " + lifetime.String()
		f.server.report(e)
	}
}
