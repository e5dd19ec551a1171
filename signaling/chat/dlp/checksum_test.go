package dlp

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// A check digit finds every single wrong digit: the definition of all of these
// codes, and one that an error in a weight doesn't survive. (The 11-test and the
// moduli 97 and 23 find them since they are prime; Luhn and PESEL since their
// weights have no factor in common with 10.)
func TestEverySingleWrongDigitIsFound(t *testing.T) {
	for _, v := range []struct {
		name  string
		value string
		check func(string) bool
	}{
		{"card", "4111111111111111", luhn},
		{"card of odd length", "378282246310005", luhn},
		{"IBAN", "DE89370400440532013000", mod97},
		{"IBAN with letters", "GB82WEST12345698765432", mod97},
		{"tax ID", "86095742719", mod11v10},
		{"BSN", "111222333", dutchBSN},
		{"DNI", "12345678Z", spanishDNI},
		{"NIE", "X1234567L", spanishDNI},
		{"PESEL", "44051401359", polishPESEL},
		{"NRN", "85073003328", belgianNRN},
	} {
		if !v.check(v.value) {
			t.Errorf("%s %s is refused, wanted it accepted", v.name, v.value)
			continue
		}
		for i := range len(v.value) {
			if v.value[i] > '9' {
				continue
			}
			for d := byte('0'); d <= '9'; d++ {
				if d == v.value[i] {
					continue
				}
				if wrong := v.value[:i] + string(d) + v.value[i+1:]; v.check(wrong) {
					t.Errorf("%s %s is accepted, wanted it refused: place %d of %s is wrong", v.name, wrong, i, v.value)
				}
			}
		}
	}
}

// Against the definitions, calculated in another way.
func TestChecksumsAgreeWithTheirDefinitions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		s := ""
		for range 22 {
			s += strconv.Itoa(rng.IntN(10))
		}
		s = string(rune('A'+rng.IntN(26))) + string(rune('A'+rng.IntN(26))) + s[2:]
		moved := ""
		for _, c := range s[4:] + s[:4] {
			n, err := strconv.ParseInt(string(c), 36, 0)
			if err != nil {
				t.Fatal(err)
			}
			moved += strconv.Itoa(int(n))
		}
		n, _ := new(big.Int).SetString(moved, 10)
		want := n.Mod(n, big.NewInt(97)).Int64() == 1
		if got := mod97(s); got != want {
			t.Fatalf("mod97(%s) = %t, wanted %t", s, got, want)
		}
	}
	// Exactly one last digit is right.
	for range 300 {
		s := strconv.Itoa(1_000_000_000 + rng.IntN(8_999_999_999))
		right := 0
		for d := range 10 {
			if mod11v10(s + strconv.Itoa(d)) {
				right++
			}
		}
		if right != 1 {
			t.Fatalf("%d check digits of %s are right, wanted 1", right, s)
		}
	}
}

func TestRulesBesideTheCheckDigit(t *testing.T) {
	withDigit := func(s string, check func(string) bool) string {
		for d := range 10 {
			if check(s + strconv.Itoa(d)) {
				return s + strconv.Itoa(d)
			}
		}
		return s + "?"
	}
	nrn := func(s string, born2000 bool) string {
		n := number(s)
		if born2000 {
			n += 2_000_000_000
		}
		check := strconv.Itoa(97 - n%97)
		return s + strings.Repeat("0", 2-len(check)) + check
	}
	pesel := func(s string) string {
		sum := 0
		for i := range 10 {
			sum += int(s[i]-'0') * []int{1, 3, 7, 9}[i%4]
		}
		return s + strconv.Itoa((10-sum%10)%10)
	}
	for _, c := range []struct {
		name, value string
		check       func(string) bool
		want        bool
	}{
		{"tax ID, one digit thrice", withDigit("1012345671", mod11v10), germanTaxID, true},
		{"tax ID, one digit twice", withDigit("1023456789", mod11v10), germanTaxID, false}, // none twice
		{"tax ID, thrice in a row", withDigit("1112345678", mod11v10), germanTaxID, false},
		{"tax ID, four times", withDigit("1213145167", mod11v10), germanTaxID, false},
		{"tax ID, two repeated", withDigit("1122345678", mod11v10), germanTaxID, false},
		{"tax ID, begins with 0", withDigit("0123456788", mod11v10), germanTaxID, false},
		{"tax ID, letters", "8609574271A", germanTaxID, false},
		{"BSN of zeros", "000000000", dutchBSN, false},
		{"BSN with a letter", "11122233A", dutchBSN, false},
		{"DNI with two letters", "1234567XZ", spanishDNI, false},
		{"NIE with Y", "Y1234567X", spanishDNI, true},
		{"NIE with Z", "Z1234567R", spanishDNI, true},
		{"NIE with W", "W1234567L", spanishDNI, false},
		{"PESEL, 30 February", pesel("4402301234"), polishPESEL, false},
		{"PESEL, 29 February 1944", pesel("4402291234"), polishPESEL, true},
		{"PESEL, 29 February 1945", pesel("4502291234"), polishPESEL, false},
		{"PESEL, 29 February 2000", pesel("0022291234"), polishPESEL, true},
		{"PESEL, 29 February 1900", pesel("0002291234"), polishPESEL, false},
		{"PESEL, month 13", pesel("4413011234"), polishPESEL, false},
		{"PESEL, born 1899", pesel("9981011234"), polishPESEL, true},
		{"PESEL, day 0", pesel("4401001234"), polishPESEL, false},
		{"PESEL with a letter", "4405140135A", polishPESEL, false},
		{"NRN, born 2001", nrn("010203123", true), belgianNRN, true},
		{"NRN, 29 February 2000", nrn("000229001", true), belgianNRN, true},
		{"NRN, 29 February 1900", nrn("000229001", false), belgianNRN, false},
		{"NRN, serial number 0", nrn("850730000", false), belgianNRN, false},
		{"NRN, serial number 999", nrn("850730999", false), belgianNRN, false},
		{"NRN, BIS", nrn("852730033", false), belgianNRN, true},
		{"NRN, BIS with known sex", nrn("854730033", false), belgianNRN, true},
		{"NRN, month 67", nrn("856730033", false), belgianNRN, false},
		{"NRN, date unknown", nrn("850000033", false), belgianNRN, true},
		{"NRN, day 32 of month 0", nrn("850032033", false), belgianNRN, false},
		{"NRN, 31 June", nrn("850631033", false), belgianNRN, false},
		{"NRN with a letter", "8507300332A", belgianNRN, false},
		{"card of no issuer", withDigit("911111111111111", luhn), paymentCard, false},
		{"card of a wrong length", withDigit("41111111111111", luhn), paymentCard, false},
		{"IBAN of no country", "ZZ89370400440532013000", iban, false},
		{"IBAN of a wrong length", "DE8937040044053201300", iban, false},
	} {
		if got := c.check(c.value); got != c.want {
			t.Errorf("%s: %s accepted: %t, wanted %t", c.name, c.value, got, c.want)
		}
	}
}

func TestCardIssuers(t *testing.T) {
	for number, want := range map[string]bool{
		"4222222222222": true, "4012888888881881": true, "5555555555554444": true, "2223003122003222": true,
		"378282246310005": true, "6011111111111117": true, "30569309025904": true, "3530111333300000": true,
		"6759649826438453": true, "6200000000000005": true, "2200000000000004": true,
		"4111111111111112": false, "1234567812345670": false, "2720990000000007": true, "2721000000000004": false,
	} {
		if got := paymentCard(number); got != want {
			t.Errorf("card %s accepted: %t, wanted %t (Luhn %t)", number, got, want, luhn(number))
		}
	}
}

// One published example for each of many countries: lengths and letters.
func TestIBANs(t *testing.T) {
	for _, s := range strings.Fields(`
		NO9386011117947 BE68539007547034 DK5000400440116243 NL91ABNA0417164300 FI2112345600000785 SI56263300012039086
		AT611904300234573201 LU280019400644750000 CH9300762011623852957 HR1210010051863000160 DE89370400440532013000
		GB29NWBK60161331926819 IE29AIBK93115212345678 ES9121000418450200051332 SE4550000000058398257466 PT50000201231234567890154
		FR1420041010050500013M02606 IT60X0542811101000000123456 GR1601101250000000012300695 PL61109010140000071219812874
		CY17002001280000001200527600 MT84MALT011000012345MTLCAST001S TR330006100519786457841326 LV80BANK0000435195001
		AE070331234567890123456 BR9700360305000010009795493P1 UA213223130000026007233566001 LC55HEMM000100010012001200023015
		JO94CBJO0010000000000131000302 LY83002048000020100120361 SA0380000000608010167519 MK07250120000058984`) {
		if !iban(s) {
			t.Errorf("IBAN %s is refused, wanted it accepted", s)
		}
	}
}
