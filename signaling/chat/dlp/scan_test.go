package dlp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// sample is one valid and one wrong value of a type, with its usual forms and a
// phrase that is evidence.
type sample struct {
	kind           Type
	usual          []string
	odd            []string
	wrong          []string
	evidence       string
	alone, with    Confidence
	oddAlone, oddW Confidence
}

func samples() []sample {
	return []sample{
		{
			PaymentCard,
			[]string{"4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1111", "3782 822463 10005", "4111\u00a01111\u20111111–1111", "٤١١١١١١١١١١١١١١١", "４１１１ １１１１ １１１１ １１１１", "4\u200b111\u00ad111111111111", "𝟒𝟏𝟏𝟏111111111111", "④111111111111111", "4\u0301111111111111111"},
			[]string{"41 11 11 11 11 11 11 11", "4111  1111  1111  1111", "4111 - 1111 - 1111 - 1111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4111/1111/1111/1111", "4111_1111_1111_1111", "4111\u200a1111\u2003\u20031111 1111"},
			[]string{"4111111111111112", "4111 1111 1111 1112", "x4111111111111111", "41111111111111110000", "4111    1111 1111 1111", "4111*1111*1111*1111", "1111111111111117"},
			"my Visa", Medium, High, Low, Medium,
		},
		{
			IBAN,
			[]string{"DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "de89 3704 0044 0532 0130 00", "ＤＥ89 3704 0044 0532 0130 00", "FR14-2004-1010-0505-0001-3M02-606", "NO9386011117947"},
			[]string{"DE 89 37040044 0532013000", "DE89 3704 0044 0532 013000"},
			[]string{"DE88370400440532013000", "DE8937040044053201300", "XX89370400440532013000", "DE89370400440532013000A"},
			"Überweisung auf", Medium, High, Low, Medium,
		},
		{
			GermanyTaxID,
			[]string{"86095742719", "86 095 742 719"}, []string{"860 957 427 19", "8609-5742-719"},
			[]string{"86095742718", "86 095 742 710"},
			"Steuer-ID:", Low, High, 0, Medium,
		},
		{
			NetherlandsBSN,
			[]string{"111222333", "111 222 333", "1112.22.333", "111-222-333"}, []string{"11 12 22 333"},
			[]string{"111222334", "111 222 332"},
			"BSN", Low, High, 0, Medium,
		},
		{
			SpainDNI,
			[]string{"12345678Z", "12345678-z", "12.345.678-Z", "X1234567L", "X-1234567-L"}, []string{"1234 5678 Z"},
			[]string{"12345678A", "X1234567M"},
			"documento nacional de identidad", Low, High, 0, Medium,
		},
		{
			PolandPESEL,
			[]string{"44051401359", "440514 01359", "440514-01359"}, []string{"44 05 14 01359"},
			[]string{"44051401358", "44151401356"},
			"numer PESEL", Low, High, 0, Medium,
		},
		{
			BelgiumNRN,
			[]string{"85073003328", "85.07.30-033 28", "85.07.30-033.28", "850730 033 28", "850730-03328"}, []string{"8507 3003 328"},
			[]string{"85073003327", "85.07.30-033.29"},
			"Numéro national", Low, High, 0, Medium,
		},
	}
}

// one returns the findings of a type as text.
func one(text string, kind Type) string {
	var b []string
	for _, f := range Scan(text, DefaultWindow, kind) {
		b = append(b, fmt.Sprintf("%s %q", f.Confidence, text[f.Start:f.End]))
	}
	return strings.Join(b, ", ")
}

func TestDetectors(t *testing.T) {
	var covered []Type
	for _, s := range samples() {
		covered = append(covered, s.kind)
		for _, form := range []struct {
			values      []string
			alone, with Confidence
		}{{s.usual, s.alone, s.with}, {s.odd, s.oddAlone, s.oddW}, {s.wrong, 0, 0}} {
			for _, value := range form.values {
				for text, confidence := range map[string]Confidence{
					"Here it is: (" + value + "), thanks": form.alone,
					value:                                 form.alone,
					s.evidence + " " + value + ".":        form.with,
					value + ", " + s.evidence:             form.with,
				} {
					want := ""
					if confidence > 0 {
						want = fmt.Sprintf("%s %q", confidence, value)
					}
					if got := one(text, s.kind); got != want {
						t.Errorf("%s in %q: found %s, wanted %s", s.kind, text, got, want)
					}
				}
			}
		}
	}
	slices.Sort(covered)
	if !slices.Equal(covered, Types()) {
		t.Errorf("tested %v, wanted all types, %v", covered, Types())
	}
}

func TestEvidenceCountsWithinTheWindow(t *testing.T) {
	const value = "4111111111111111"
	for gap, want := range map[int]Confidence{10: High, 50: High, 51: Medium} {
		filler := " " + strings.Repeat("—", gap-2) + " " // characters count, not bytes
		for _, text := range []string{"visa" + filler + value, value + filler + "visa"} {
			if got := Scan(text, 50); len(got) != 1 || got[0].Confidence != want || got[0].Evidence != (want == High) {
				t.Errorf("evidence %d characters away, window 50: %+v, wanted confidence %s", gap, got, want)
			}
		}
	}
	for _, text := range []string{"provisa 4111111111111111", "visage 4111111111111111", "tax 86095742719 id"} {
		if got := Scan(text, DefaultWindow); len(got) != 1 || got[0].Evidence {
			t.Errorf("%q: %+v, wanted one finding without evidence", text, got)
		}
	}
}

func TestScanFindsAllInOrder(t *testing.T) {
	text := "iban DE89 3704 0044 0532 0130 00 then 4111 1111 1111 1111 123 then 12345678Z and 5555555555554444"
	var got []string
	for _, f := range Scan(text, 10) {
		got = append(got, fmt.Sprintf("%s:%s:%s", f.Type, text[f.Start:f.End], f.Confidence))
	}
	want := []string{
		"iban:DE89 3704 0044 0532 0130 00:high", "payment-card:4111 1111 1111 1111:medium",
		"spain-dni:12345678Z:low", "payment-card:5555555555554444:medium",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, wanted %q", got, want)
	}
}

// A value is found behind digits that don't belong to it, and before some.
func TestDigitsAroundDontHideAValue(t *testing.T) {
	for _, text := range []string{
		"12 4111 1111 1111 1111", "1234 5678 9012 4111 1111 1111 1111", "4111 1111 1111 1111 12", "4111 1111 1111 1111 8",
		"order 7, 4111 1111 1111 1111, 3 pieces",
	} {
		found := Scan(text, 10, PaymentCard)
		if !slices.ContainsFunc(found, func(f Finding) bool {
			return strings.Contains(text[f.Start:f.End], "4111 1111 1111 1111") && f.Confidence >= Medium
		}) {
			t.Errorf("%q: %+v, wanted the card with medium confidence", text, found)
		}
	}
}

func TestConfidenceInWords(t *testing.T) {
	if got := fmt.Sprint(Low, Medium, High, Confidence(3)); got != "low medium high Confidence(3)" {
		t.Errorf("%s", got)
	}
	if got := fmt.Sprint(Allow, Warn, Mask, Block, Action(9)); got != "allow warn mask block Action(9)" {
		t.Errorf("%s", got)
	}
}
