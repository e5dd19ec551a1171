// Package identity is who somebody is: an OpenID Connect issuer, the exchange of
// its tokens and of other issuers' for access tokens to the communication
// services, and the verification of those at the signaling controller. It plays
// the part of Microsoft Entra ID and of Azure Communication Services' identity
// service for callpath.
//
// A Teams user signs in with a password and perhaps a one-time code, and gets
// tokens of the issuer's that are for the application (authorization code with
// PKCE). The application exchanges one for an ACS access token with the scopes voip
// and chat, and with that the user calls. An ACS user of an application's own has
// no sign-in here: the application asks for the access token with its credential.
//
//	GET  /.well-known/openid-configuration   discovery
//	GET  /oauth2/jwks                        keys
//	GET  /oauth2/authorize                   sign-in page; POST is its form
//	POST /oauth2/token                       authorization_code, refresh_token, token exchange
//	POST /oauth2/revoke                      a refresh token with its sign-in, or an access token
//	GET  /oauth2/userinfo                    the claims of an application's token; also POST
//	POST /identity/sign-in                   user, password and code for tokens: first-party clients
//	POST /identity/users                     a new ACS user, for an application
//	POST /identity/users/{id}/token          an access token for one
//	POST /identity/users/{id}/revoke         the end of all of them
//
// They come below the path of Config.Issuer. What it follows: OpenID Connect Core
// and Discovery 1.0, OAuth 2.0 (RFC 6749) with the security best current practice
// (RFC 9700), PKCE (RFC 7636), issuer identification (RFC 9207), revocation
// (RFC 7009), token exchange (RFC 8693), JWT access tokens (RFC 9068), methods of
// authentication (RFC 8176).
//
// Not offered: the implicit and the password grant, PKCE with "plain", clients with
// a secret at the authorization endpoint, request objects, dynamic registration,
// introspection, single sign-on (each authorization asks for the password, so there
// is no session cookie and nothing to sign out of but the refresh token),
// delegation by actor_token, and enrolment of a second factor by its user.
// Conditional access is asked at each sign-in, refresh and exchange, but not for
// the users of an application, for whom that answers, and not after the access
// token has been given: it lives an hour, or until it is revoked.
//
// Packages below it: token verifies, keys signs and rotates, user has passwords and
// one-time codes, access has the rules, store keeps what outlives a restart, and
// signin is a client for command lines. Mounted beside the controller:
//
//	id, err := identity.New(identity.Config{Issuer: "https://calls.example", …})
//	controller, err := signaling.NewController(signaling.Config{Verifier: id, TURN: …})
//	for _, path := range id.Paths() {
//		mux.Handle(path, id.Handler())
//	}
//	mux.Handle("/v1/", controller.Handler())
//
// The controller gives ICE servers only for a token with the scope voip and to a
// participant of the call; Config.TURN there ties the credential to both.
//
// Start reading at Config; then signin.go for what a sign-in must pass, grant.go
// and exchange.go for what it yields.
package identity
