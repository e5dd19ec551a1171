package topology_test

import (
	"testing"

	"github.com/callpath/callpath/topology"
)

func TestEveryCatalogueEntryIsValid(t *testing.T) {
	for _, name := range topology.Catalog() {
		if _, err := topology.Named(name); err != nil {
			t.Error(err)
		}
	}
}
