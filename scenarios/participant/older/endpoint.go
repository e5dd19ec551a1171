// Package older is the endpoint of an older client.
package older

import (
	"errors"

	"github.com/callpath/callpath/scenarios/participant/endpoint"
)

// New builds an endpoint.
func New(cfg endpoint.Config) (endpoint.Endpoint, error) {
	return nil, errors.New("older: not built yet")
}
