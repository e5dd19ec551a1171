package negotiation_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/callpath/callpath/relay/negotiation"
)

func TestKeyLogFileIsPrivateAndAppended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.log")
	for round := range 2 {
		w, err := negotiation.KeyLogFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { fmt.Fprintf(w, "CLIENT_RANDOM %d-%02d %s\n", round, i, strings.Repeat("x", 100)) })
		}
		wg.Wait()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		equal(t, "mode", info.Mode().Perm(), 0o600)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	equal(t, "lines", len(lines), 40)
	slices.Sort(lines)
	equal(t, "different lines", len(slices.Compact(lines)), 40)
	for _, line := range lines {
		if len(strings.Fields(line)) != 3 {
			t.Errorf("line %q", line)
		}
	}
}

func TestKeyLogFileRefusals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes and links are different there")
	}
	dir := t.TempDir()
	wide := filepath.Join(dir, "wide")
	if err := os.WriteFile(wide, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(dir, "private")
	if err := os.WriteFile(private, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(private, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		wide:                          "has mode 0644, so that others may use it; valid: 0600",
		link:                          "valid: a regular file or none",
		dir:                           "valid: a regular file or none",
		filepath.Join(dir, "no", "x"): "no such file",
	} {
		w, err := negotiation.KeyLogFile(path)
		if err == nil {
			_ = w.Close()
			t.Errorf("%s was opened", path)
			continue
		}
		contains(t, path, []string{err.Error()}, want)
	}
}
