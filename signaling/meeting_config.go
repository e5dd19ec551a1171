package signaling

import (
	"context"
	"errors"

	"github.com/callpath/callpath/signaling/meeting/policy"
)

// MediaProcessor hosts the media of meetings and group calls in one region; package
// processor of the relay has one. Its methods may be called from several goroutines
// at once. The controller hands it only offers that keep to DTLS-SRTP, of
// participants who are present.
type MediaProcessor interface {
	// Join takes a participant's offer and returns the answer. For one who is in
	// the conference already it is a new offer: an ICE restart, or other media.
	// With mix, all audio comes as one mixed stream.
	Join(ctx context.Context, conference, participant, offer string, mix bool) (answer string, err error)
	// Leave ends the participant's media, and does nothing for one who has none.
	Leave(conference, participant string)
	// End ends the conference's media.
	End(conference string)
}

// Store keeps what must survive a restart. Its methods may be called from several
// goroutines at once; they are never called with a lock of the controller's held.
type Store interface {
	// Save returns once value is durable under key; it replaces an older one.
	Save(bucket, key string, value []byte) error
	// Delete returns once key is gone for good; that there is none is no error.
	Delete(bucket, key string) error
	// Each calls f with every key and its value, until f returns an error.
	Each(bucket string, f func(key string, value []byte) error) error
}

// HomeTenant is the ID of an organisation that Config.Policies leaves out.
const HomeTenant = "home"

// Policies are the organisation's: what holds for all its meetings, and what is
// assigned to organizers, under Microsoft's names. The zero Policies are those of a
// new organisation named HomeTenant, which trusts no other.
type Policies struct {
	// Organization has the settings and the meeting policies. Its ID is the home
	// tenant, as in Bearer.Tenant.
	Organization policy.Organization
	// Trusted are the tenants that trust and are trusted (in Teams, the allowed
	// domains of CsTenantFederationConfiguration).
	Trusted []string
}

// complete fills in the defaults and checks the rest.
func (p Policies) complete() (Policies, error) {
	if p.Organization.ID == "" {
		if p.Organization.Policies != nil || p.Organization.Users != nil || p.Organization.Groups != nil {
			return p, errors.New("signaling: Policies.Organization.ID is empty, wanted the home tenant's ID")
		}
		p.Organization = policy.NewOrganization(HomeTenant)
	}
	return p, p.Organization.Validate()
}
