//go:build !linux

package meeting

import "errors"

// throttle is there on Linux only.
type throttle struct{}

func startThrottle(int, float64) (*throttle, error) {
	return nil, errors.New("holding back a process needs Linux")
}

func (*throttle) stop() {}
