package dlp

import "slices"

// Type names a sensitive information type.
type Type string

// The built-in types.
const (
	PaymentCard    Type = "payment-card"
	IBAN           Type = "iban"
	BelgiumNRN     Type = "belgium-nrn"
	GermanyTaxID   Type = "germany-tax-id"
	NetherlandsBSN Type = "netherlands-bsn"
	PolandPESEL    Type = "poland-pesel"
	SpainDNI       Type = "spain-dni" // DNI and NIE
)

// Types returns the built-in types, sorted by name.
func Types() []Type {
	all := make([]Type, 0, len(detectors()))
	for _, d := range detectors() {
		all = append(all, d.name)
	}
	slices.Sort(all)
	return all
}

// layout is one usual way to write a value: the sizes of its groups, and what may
// stand between two of them, one character each.
type layout struct {
	groups     []int
	separators string
}

// detector is one sensitive information type.
type detector struct {
	name Type
	// shortest and longest count digits and letters.
	shortest, longest int
	// check looks at the whole value: prefix, length, date, checksum.
	check func(value string) bool
	// usual are the layouts besides a value in one piece.
	usual []layout
	// usually and oddly are the confidences in a value of a usual layout and of
	// another one: without evidence, and with it. 0 is no finding.
	usually, oddly [2]Confidence
	// evidence are words and phrases, in capital letters without accents.
	evidence []string
}

// detectors is a function, since nothing here may change while the program runs.
func detectors() []detector {
	strong := [2]Confidence{Medium, High}
	weak := [2]Confidence{Low, Medium}
	// Nine or eleven digits with one check digit happen by chance.
	national := [2]Confidence{Low, High}
	nationalOdd := [2]Confidence{0, Medium}
	fours := func(n, last int) layout {
		groups := slices.Repeat([]int{4}, n)
		if last > 0 {
			groups = append(groups, last)
		}
		return layout{groups, " -."}
	}
	return []detector{
		{
			name: PaymentCard, shortest: 12, longest: 19, check: paymentCard,
			usual:   []layout{fours(4, 0), fours(4, 3), fours(3, 1), {[]int{4, 6, 5}, " -."}, {[]int{4, 6, 4}, " -."}},
			usually: strong, oddly: weak,
			evidence: []string{
				"CARD", "CARDS", "CREDIT", "DEBIT", "CC", "CVV", "CVC", "CVV2", "PAN", "EXPIRES", "EXPIRY", "VALID THRU", "CARD NUMBER",
				"VISA", "MASTERCARD", "MASTER CARD", "AMEX", "AMERICAN EXPRESS", "MAESTRO", "DISCOVER", "DINERS", "JCB", "UNIONPAY",
				"KARTE", "KREDITKARTE", "KREDITKARTENNUMMER", "KARTENNUMMER", "CARTE", "CARTE BANCAIRE", "TARJETA", "CARTA", "KREDITKORT", "CREDITCARD", "KARTA", "KARTY",
			},
		},
		{
			name: IBAN, shortest: 15, longest: 33, check: iban,
			usual:   ibanLayouts(),
			usually: strong, oddly: weak,
			evidence: []string{
				"IBAN", "BIC", "SWIFT", "BANK", "ACCOUNT", "TRANSFER", "PAYMENT", "SEPA", "KONTO", "KONTONUMMER", "BANKVERBINDUNG", "UBERWEISUNG",
				"COMPTE", "VIREMENT", "CUENTA", "CONTO", "BONIFICO", "REKENING", "REKENINGNUMMER", "KONTA", "PRZELEW", "RACHUNEK",
			},
		},
		{
			name: BelgiumNRN, shortest: 11, longest: 11, check: belgianNRN,
			usual:   []layout{{[]int{2, 2, 2, 3, 2}, " -."}, {[]int{6, 3, 2}, " -."}, {[]int{6, 5}, " -"}},
			usually: national, oddly: nationalOdd,
			evidence: []string{
				"NRN", "NISS", "INSZ", "BIS", "RIJKSREGISTER", "RIJKSREGISTERNUMMER", "REGISTRE NATIONAL", "NUMERO NATIONAL", "NATIONAL NUMBER", "NATIONAL REGISTER",
				"NATIONALREGISTER", "NATIONALREGISTERNUMMER", "EID", "IDENTITEITSKAART", "CARTE D IDENTITE",
			},
		},
		{
			name: GermanyTaxID, shortest: 11, longest: 11, check: germanTaxID,
			usual:   []layout{{[]int{2, 3, 3, 3}, " -./"}},
			usually: national, oddly: nationalOdd,
			evidence: []string{
				"STEUER ID", "STEUERID", "STEUER IDNR", "STEUERNUMMER", "STEUER", "STEUERIDENTIFIKATIONSNUMMER", "IDENTIFIKATIONSNUMMER", "IDNR", "ID NR", "TIN",
				"TAX ID", "TAX NUMBER", "TAX IDENTIFICATION", "FINANZAMT",
			},
		},
		{
			name: NetherlandsBSN, shortest: 9, longest: 9, check: dutchBSN,
			usual:   []layout{{[]int{3, 3, 3}, " -."}, {[]int{4, 2, 3}, " -."}},
			usually: national, oddly: nationalOdd,
			evidence: []string{
				"BSN", "BURGERSERVICENUMMER", "BURGER SERVICE NUMMER", "SOFINUMMER", "SOFI", "SOCIAAL FISCAAL NUMMER", "CITIZEN SERVICE NUMBER", "PERSOONSNUMMER",
			},
		},
		{
			name: PolandPESEL, shortest: 11, longest: 11, check: polishPESEL,
			usual:   []layout{{[]int{6, 5}, " -"}},
			usually: national, oddly: nationalOdd,
			evidence: []string{
				"PESEL", "NR PESEL", "NUMER PESEL", "NUMER IDENTYFIKACYJNY", "DOWOD OSOBISTY", "DOWODU OSOBISTEGO", "NATIONAL ID", "IDENTIFICATION NUMBER",
			},
		},
		{
			name: SpainDNI, shortest: 9, longest: 9, check: spanishDNI,
			usual:   []layout{{[]int{8, 1}, " -"}, {[]int{2, 3, 3, 1}, " -."}, {[]int{1, 7, 1}, " -"}, {[]int{1, 8}, " -"}},
			usually: national, oddly: nationalOdd,
			evidence: []string{
				"DNI", "NIE", "NIF", "DOCUMENTO NACIONAL", "DOCUMENTO NACIONAL DE IDENTIDAD", "DOCUMENTO", "IDENTIDAD", "EXTRANJERO", "IDENTIFICACION", "IDENTITY CARD",
			},
		},
	}
}

// issuer is a range of the first digits of payment cards and its lengths.
type issuer struct {
	low, high   int // both have the same number of digits
	short, long int
}

func paymentCard(s string) bool {
	if !allDigits(s) || !luhn(s) {
		return false
	}
	for _, i := range []issuer{
		{4, 4, 13, 13}, {4, 4, 16, 16}, {4, 4, 19, 19}, // Visa
		{51, 55, 16, 16}, {2221, 2720, 16, 16}, // Mastercard
		{34, 34, 15, 15}, {37, 37, 15, 15}, // American Express
		{6011, 6011, 16, 19}, {644, 659, 16, 19}, // Discover
		{62, 62, 16, 19}, {81, 81, 16, 19}, // UnionPay (some of its cards have no check digit)
		{300, 305, 14, 14}, {300, 305, 16, 19}, {3095, 3095, 14, 14}, {3095, 3095, 16, 19}, // Diners Club
		{36, 36, 14, 19}, {38, 39, 14, 14}, {38, 39, 16, 19},
		{3528, 3589, 16, 19},                                             // JCB
		{2200, 2204, 16, 19},                                             // Mir
		{5018, 5018, 12, 19}, {5020, 5020, 12, 19}, {5038, 5038, 12, 19}, // Maestro
		{5893, 5893, 12, 19}, {6304, 6304, 12, 19}, {6759, 6759, 12, 19}, {6761, 6763, 12, 19},
	} {
		width := 1
		for top := i.high; top > 9; top /= 10 {
			width++
		}
		if n := number(s[:width]); i.low <= n && n <= i.high && i.short <= len(s) && len(s) <= i.long {
			return true
		}
	}
	return false
}

// ibanLength is the length for a country (SWIFT's IBAN registry), 0 for none.
func ibanLength(country string) int {
	switch country {
	case "NO":
		return 15
	case "BE":
		return 16
	case "DK", "FO", "FI", "GL", "NL", "SD", "FK":
		return 18
	case "MK", "SI":
		return 19
	case "AT", "BA", "EE", "KZ", "LT", "LU", "XK", "MN":
		return 20
	case "CH", "CR", "HR", "LI", "LV":
		return 21
	case "BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA":
		return 22
	case "AE", "GI", "IL", "IQ", "TL", "SO", "OM":
		return 23
	case "AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG":
		return 24
	case "LY", "PT", "ST":
		return 25
	case "IS", "TR":
		return 26
	case "BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM":
		return 27
	case "AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "NI", "PL", "SV":
		return 28
	case "BR", "EG", "PS", "QA", "UA":
		return 29
	case "JO", "KW", "MU", "YE":
		return 30
	case "MT", "SC":
		return 31
	case "LC":
		return 32
	case "RU":
		return 33
	}
	return 0
}

func iban(s string) bool {
	return len(s) == ibanLength(s[:2]) && allDigits(s[2:4]) && mod97(s)
}

// ibanLayouts are groups of four and a rest, for every length.
func ibanLayouts() []layout {
	var all []layout
	for n := 15; n <= 33; n++ {
		groups := slices.Repeat([]int{4}, n/4)
		if n%4 > 0 {
			groups = append(groups, n%4)
		}
		all = append(all, layout{groups, " -."})
	}
	return all
}
