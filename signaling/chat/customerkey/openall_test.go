package customerkey

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
)

func TestManyMessagesTakeOneQuestionForEachVersion(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	var all []Sealed
	for i := range 6 {
		p := Place{"contoso", "chat-1", fmt.Sprint("message-", i)}
		all = append(all, Sealed{p.Chat, p.Message, b.sealed(t, p)})
		if i == 2 {
			must(t, b.Rotate(ctx, "contoso"))
		}
	}
	all[4].Message = "message-5" // of another place
	all = append(all, Sealed{"chat-1", "message-6", []byte("short")}, Sealed{"", "", all[0].Data})
	b.events()
	opened, err := b.OpenAll(ctx, "contoso", all)
	must(t, err)
	for i, text := range opened {
		want := secret
		if i == 4 || i >= 6 {
			want = ""
		}
		if string(text) != want || (text == nil) != (want == "") {
			t.Errorf("message %d: %q, wanted %q", i, text, want)
		}
	}
	const want = "unwrap ok 1 west/1, unwrap ok 2 west/1, open refused 0, open refused 0, open refused 0"
	if got := b.events(); got != want {
		t.Errorf("events: %s\nwanted: %s", got, want)
	}

	for _, root := range policy.Roots {
		must(t, b.Revoke(ctx, "contoso", root))
	}
	if opened, err := b.OpenAll(ctx, "contoso", all); !errors.Is(err, ErrRevoked) || opened != nil {
		t.Errorf("both revoked: %q, %v; wanted ErrRevoked", opened, err)
	}
	if _, err := b.OpenAll(ctx, "fabrikam", all); !errors.Is(err, ErrNoPolicy) {
		t.Errorf("a tenant without policy: %v", err)
	}
}

func TestEnsureMakesWhatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault")
	for range 2 {
		v, err := OpenFileVault(path)
		must(t, err)
		for _, root := range policy.Roots {
			must(t, v.Ensure(root))
			must(t, v.Ensure(root))
		}
	}
	b := newBench(t)
	b.events()
	must(t, b.Ensure(context.Background(), policy))
	if got := b.events(); got != "" {
		t.Errorf("a policy that is there: %s", got)
	}
	other := policy
	other.Tenant = "fabrikam"
	must(t, b.Ensure(context.Background(), other))
	if got := b.events(); got != "wrap ok 1 west/1, wrap ok 1 central/2, create ok 1" {
		t.Errorf("a policy that is missing: %s", got)
	}
}
