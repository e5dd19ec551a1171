package bench

import "testing"

func TestASetOfCPUsIsWrittenAsSysfsTakesIt(t *testing.T) {
	for _, c := range []struct {
		cpus []int
		want string
	}{
		{nil, "0"}, {[]int{0}, "1"}, {[]int{0, 1, 5}, "23"}, {[]int{31}, "80000000"}, {[]int{32, 0}, "1,1"}, {[]int{64}, "1,0,0"},
	} {
		if got := mask(c.cpus); got != c.want {
			t.Errorf("CPUs %v: wanted %q, got %q", c.cpus, c.want, got)
		}
	}
}
