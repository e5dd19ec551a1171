package reception

import "math"

// Parameters are the inputs of the E-model (ITU-T G.107, 06/2015, Table 2). Levels
// are in dB (Nc in dBm0p, Nfor in dBmp, Ps and Pr in dB(A)), delays in milliseconds.
type Parameters struct {
	SLR, RLR   float64 // send and receive loudness rating
	STMR, LSTR float64 // side-tone masking and listener side-tone rating
	Ds         float64 // D-value of the telephone, send side
	TELR, WEPL float64 // talker echo loudness rating, weighted echo path loss
	T, Tr, Ta  float64 // delay of the echo path, of the echo's round trip, absolute delay
	QDU        float64 // quantisation distortion units
	Ie, Bpl    float64 // equipment impairment and loss robustness of the codec
	Ppl        float64 // packet loss, percent
	BurstR     float64 // burst ratio, 1 for random loss
	Nc, Nfor   float64 // circuit noise, noise floor at the receive side
	Ps, Pr     float64 // room noise at the send and receive side
	A          float64 // advantage factor
}

// Defaults are the default values of G.107, Table 2, which give R = 93.2.
func Defaults() Parameters {
	return Parameters{
		SLR: 8, RLR: 2, STMR: 15, LSTR: 18, Ds: 3, TELR: 65, WEPL: 110,
		QDU: 1, Bpl: 4.3, BurstR: 1, Nc: -70, Nfor: -64, Ps: 35, Pr: 35,
	}
}

// Rating is the outcome of the E-model with its parts, so that one can see which
// of them a bad rating comes from: R = Ro − Is − Id − IeEff + A.
type Rating struct {
	R     float64 // transmission rating, 0 (worst) to about 93
	Ro    float64 // basic signal-to-noise ratio
	Is    float64 // impairments simultaneous with speech
	Id    float64 // delay: Idte + Idle + Idd
	Idte  float64 // talker echo
	Idle  float64 // listener echo
	Idd   float64 // absolute delay
	IeEff float64 // codec and packet loss
	A     float64 // advantage
}

// MOS is the rating as a mean opinion score.
func (r Rating) MOS() float64 { return MOS(r.R) }

// Rate computes the rating (G.107, clause 7; the numbers are its equations).
func (p Parameters) Rate() Rating {
	r := Rating{A: p.A}
	no := p.noise()
	r.Ro = 15 - 1.5*(p.SLR+no) // 7-2
	ist := p.sidetone()
	r.Is = p.loudness(no) + ist + p.quantisation(r.Ro) // 7-8
	r.Idte = p.talkerEcho(no, ist)
	r.Idle = p.listenerEcho(r.Ro)
	r.Idd = p.absoluteDelay()
	r.Id = r.Idte + r.Idle + r.Idd // 7-18
	r.IeEff = p.equipment()
	r.R = r.Ro - r.Is - r.Id - r.IeEff + r.A // 7-1
	return r
}

// noise is No, the power sum of all noise, in dBm0p (7-3 to 7-7).
func (p Parameters) noise() float64 {
	olr := p.SLR + p.RLR
	send := p.Ps - p.SLR - p.Ds - 100 + 0.004*square(p.Ps-olr-p.Ds-14) // 7-4
	room := p.Pr + 10*math.Log10(1+math.Pow(10, (10-p.LSTR)/10))       // 7-6
	receive := p.RLR - 121 + room + 0.008*square(room-35)              // 7-5
	floor := p.Nfor + p.RLR                                            // 7-7
	sum := 0.0
	for _, level := range []float64{p.Nc, send, receive, floor} {
		sum += math.Pow(10, level/10)
	}
	return 10 * math.Log10(sum)
}

// loudness is Iolr, the decrease by too low a loudness (7-9, 7-10).
func (p Parameters) loudness(no float64) float64 {
	x := (p.SLR + p.RLR + 0.2*(64+no-p.RLR)) / 8
	return 20 * (root(8, x) - x)
}

// sidetone is Ist, the impairment by sidetone that is not optimal (7-11, 7-12).
func (p Parameters) sidetone() float64 {
	s := -10 * math.Log10(math.Pow(10, -p.STMR/10)+math.Exp(-p.T/4)*math.Pow(10, -p.TELR/10))
	return 12*root(8, (s-13)/6) - 28*root(35, (s+1)/19.4) - 13*root(13, (s-3)/33) + 29
}

// quantisation is Iq (7-13 to 7-17).
func (p Parameters) quantisation(ro float64) float64 {
	q := 37 - 15*math.Log10(p.QDU)
	g := 1.07 + 0.258*q + 0.0602*q*q
	y := (ro-100)/15 + 46/8.4 - g/9
	z := 46.0/30 - g/40
	return 15 * math.Log10(1+math.Pow(10, y)+math.Pow(10, z))
}

// talkerEcho is Idte (7-19 to 7-24).
func (p Parameters) talkerEcho(no, ist float64) float64 {
	if p.T < 1 {
		return 0
	}
	terv := p.TELR - 40*math.Log10((1+p.T/10)/(1+p.T/150)) + 6*math.Exp(-0.3*p.T*p.T)
	if p.STMR < 9 {
		terv += ist / 2
	}
	half := (-1.5*(no-p.RLR) - (80 + 2.5*(terv-14))) / 2
	echo := (half + math.Sqrt(half*half+100) - 1) * (1 - math.Exp(-p.T))
	if p.STMR > 20 {
		echo = math.Hypot(echo, ist)
	}
	return echo
}

// listenerEcho is Idle (7-25, 7-26).
func (p Parameters) listenerEcho(ro float64) float64 {
	half := (ro - 10.5*(p.WEPL+7)*math.Pow(p.Tr+1, -0.25)) / 2
	return half + math.Sqrt(half*half+169)
}

// absoluteDelay is Idd (7-27, 7-28), for the default delay sensitivity, sT = 1 and
// mT = 100 ms: people who take turns quickly, which is the hardest class.
func (p Parameters) absoluteDelay() float64 {
	const mT = 100
	if p.Ta <= mT {
		return 0
	}
	x := math.Log10(p.Ta/mT) / math.Log10(2)
	return 25 * (root(6, x) - 3*root(6, x/3) + 2)
}

// equipment is Ie,eff (7-29).
func (p Parameters) equipment() float64 {
	if p.Ppl <= 0 {
		return p.Ie
	}
	return p.Ie + (95-p.Ie)*p.Ppl/(p.Ppl/p.BurstR+p.Bpl)
}

// MOS is the mean opinion score of a conversation, 1 to 4.5, that G.107, Annex B
// gives for a rating. Below R = 6.5 the cubic falls under 1, which no score does.
func MOS(r float64) float64 {
	switch {
	case math.IsNaN(r) || r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}

// root is the n-th root of 1 + x to the n, in which G.107 has most of its curves.
func root(n, x float64) float64 { return math.Pow(1+math.Pow(x, n), 1/n) }

func square(x float64) float64 { return x * x }
