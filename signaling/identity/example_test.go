package identity_test

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/identity"
	"github.com/callpath/callpath/signaling/identity/user"
)

// The issuer stands beside the controller on one server: its endpoints at Paths,
// its verification as the controller's Verifier.
func ExampleService_Handler() {
	hash, err := user.Hash("correct horse battery")
	if err != nil {
		panic(err)
	}
	id, err := identity.New(identity.Config{
		Issuer:  "https://calls.example",
		Users:   []user.User{{ID: "alice", Kind: "teams", Password: hash}},
		Clients: []identity.Client{{ID: "web", RedirectURIs: []string{"https://calls.example/"}}},
		Log:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	defer id.Close()
	controller, err := signaling.NewController(signaling.Config{
		Verifier: id,
		TURN:     func(user, call string) ([]signaling.ICEServer, error) { return nil, nil },
	})
	if err != nil {
		panic(err)
	}
	defer controller.Close()
	mux := http.NewServeMux()
	mux.Handle("/v1/", controller.Handler())
	for _, path := range id.Paths() {
		mux.Handle(path, id.Handler())
		fmt.Println(path)
	}
	// Output:
	// /.well-known/openid-configuration
	// /oauth2/
	// /identity/
}
