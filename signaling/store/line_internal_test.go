package store

import (
	"errors"
	"testing"
)

func TestAllThatWaitShareACommit(t *testing.T) {
	var l line
	entered, release := make(chan int), make(chan error)
	l.start(func(changes []sealed) error {
		entered <- len(changes)
		return <-release
	})
	first := l.add(make([]sealed, 1))
	if n := <-entered; n != 1 {
		t.Fatalf("the first commit has %d changes, wanted 1", n)
	}
	// While it is under way, a hundred come.
	var waiting []*batch
	for range 100 {
		waiting = append(waiting, l.add(make([]sealed, 2)))
	}
	release <- nil
	if n := <-entered; n != 200 {
		t.Errorf("the second commit has %d changes, wanted 200", n)
	}
	failure := errors.New("disk full")
	release <- failure
	<-first.done
	if first.err != nil {
		t.Errorf("the first failed with the second's: %v", first.err)
	}
	for _, b := range waiting {
		if <-b.done; b.err != failure {
			t.Errorf("error %v, wanted %v", b.err, failure)
		}
	}
	go func() { // stop drains
		<-entered
		release <- nil
	}()
	l.stop()
}
