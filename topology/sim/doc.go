// Package sim runs a topology: a small internet in user space.
package sim
