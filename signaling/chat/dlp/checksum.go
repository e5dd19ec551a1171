package dlp

import "strings"

// The checks take ASCII digits and capital letters that already have the right
// length.

// luhn is the check of payment cards (ISO/IEC 7812-1, annex B).
func luhn(digits string) bool {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// mod97 is the check of IBANs (ISO 13616, by ISO/IEC 7064 MOD 97-10): the first four
// characters go to the end, a letter counts as 10 to 35.
func mod97(s string) bool {
	rest := 0
	for _, c := range []byte(s[4:] + s[:4]) {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	return rest == 1
}

// mod11v10 is ISO/IEC 7064 MOD 11,10.
func mod11v10(digits string) bool {
	product := 10
	last := len(digits) - 1
	for i := range last {
		sum := (int(digits[i]-'0') + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	return (11-product)%10 == int(digits[last]-'0')
}

func number(digits string) int {
	n := 0
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// germanTaxID checks a Steuer-Identifikationsnummer: of the first ten digits exactly
// one stands twice or, since 2016, three times but not in a row; the others stand
// once at most; the first is not 0.
func germanTaxID(s string) bool {
	if !allDigits(s) || s[0] == '0' {
		return false
	}
	var times [10]int
	for i := range 10 {
		times[s[i]-'0']++
	}
	repeated := 0
	for d, n := range times {
		if n > 3 || n == 3 && strings.Contains(s[:10], strings.Repeat(string(rune('0'+d)), 3)) {
			return false
		}
		if n > 1 {
			repeated++
		}
	}
	return repeated == 1 && mod11v10(s)
}

// dutchBSN is the 11-test: weights 9 to 2, and -1 for the last digit.
func dutchBSN(s string) bool {
	if !allDigits(s) || s == "000000000" {
		return false
	}
	sum := -int(s[8] - '0')
	for i := range 8 {
		sum += int(s[i]-'0') * (9 - i)
	}
	return sum%11 == 0
}

// spanishDNI takes a DNI (eight digits and a letter) or an NIE, whose first X, Y or Z
// counts as 0, 1 or 2.
func spanishDNI(s string) bool {
	const letters = "TRWAGMYFPDXBNJZSQVHLCKE"
	digits := s[:8]
	if foreign := strings.IndexByte("XYZ", s[0]); foreign >= 0 {
		digits = string(rune('0'+foreign)) + s[1:8]
	}
	return allDigits(digits) && letters[number(digits)%23] == s[8]
}

// polishPESEL: date of birth with the century in the month, weights 1 3 7 9.
func polishPESEL(s string) bool {
	if !allDigits(s) {
		return false
	}
	sum := 0
	for i := range 10 {
		sum += int(s[i]-'0') * []int{1, 3, 7, 9}[i%4]
	}
	century := []int{1900, 2000, 2100, 2200, 1800}[number(s[2:4])/20]
	return (10-sum%10)%10 == int(s[10]-'0') &&
		date(century+number(s[:2]), number(s[2:4])%20, number(s[4:6]))
}

// belgianNRN takes a national register number, or a BIS number, whose month is 20 or
// 40 more: date of birth (an unknown month or day is 0), serial number, and 97 minus
// the remainder of it all, with a 2 before it for people born from 2000 on.
func belgianNRN(s string) bool {
	if !allDigits(s) {
		return false
	}
	year, month, day := number(s[:2]), number(s[2:4]), number(s[4:6])
	if serial := number(s[6:9]); serial == 0 || serial == 999 || month >= 60 {
		return false
	}
	for _, century := range []int{1900, 2000} {
		n := number(s[:9])
		if century == 2000 {
			n += 2_000_000_000
		}
		if 97-n%97 != number(s[9:]) {
			continue
		}
		m := month % 20
		if m == 0 || day == 0 {
			// Of an unknown date the rest is not checked but for its range.
			return m <= 12 && day <= 31
		}
		return date(century+year, m, day)
	}
	return false
}

func date(year, month, day int) bool {
	if month < 1 || month > 12 || day < 1 {
		return false
	}
	days := [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		days = 29
	}
	return day <= days
}
