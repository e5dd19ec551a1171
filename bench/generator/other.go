//go:build !linux

package generator
