//go:build linux

package kernel

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// The object that is committed is what the source says.
func TestTheObjectIsMadeOfItsSource(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	ok(t, err)
	var command []string
	for line := range strings.Lines(string(doc)) {
		if rest, found := strings.CutPrefix(line, "//go:generate clang"); found {
			command = strings.Fields("clang" + rest)
		}
	}
	if len(command) == 0 {
		t.Fatal("doc.go has no line that makes the object")
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skipf("the object is compared where its compiler is: %v", err)
	}
	for _, name := range []string{"relay.c", "system.h", "tables.h"} {
		_, err := os.ReadFile(filepath.Join("bpf", name)) // so that go test knows when they have changed
		ok(t, err)
	}
	made := filepath.Join(t.TempDir(), "relay.o")
	command[len(command)-1] = made
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	source, err := os.ReadFile(made)
	ok(t, err)
	want, got := parts(t, source), parts(t, object)
	if !bytes.Equal(got.program, want.program) {
		t.Error("the program is not that of the source: run go generate")
	}
	if !reflect.DeepEqual(got.maps, want.maps) {
		t.Errorf("the tables are not those of the source: run go generate; wanted %v, got %v", want.maps, got.maps)
	}
}

type contents struct {
	program []byte
	maps    map[string][5]uint32
}

func parts(t *testing.T, object []byte) contents {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	ok(t, err)
	c := contents{maps: make(map[string][5]uint32)}
	var b bytes.Buffer
	instructions := spec.Programs["forward"].Instructions
	for i := range instructions {
		// Which table is loaded is by name.
		b.WriteString(instructions[i].Reference())
		instructions[i].Metadata = asm.Metadata{}
	}
	ok(t, instructions.Marshal(&b, binary.LittleEndian))
	c.program = b.Bytes()
	for name, m := range spec.Maps {
		c.maps[name] = [5]uint32{uint32(m.Type), m.KeySize, m.ValueSize, m.MaxEntries, m.Flags}
	}
	return c
}
