package srtp_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	pion "github.com/pion/srtp/v3"

	"github.com/callpath/callpath/relay/forward/srtp"
)

func rtp(ssrc byte, seq uint16) []byte {
	return []byte{0x80, 96, byte(seq >> 8), byte(seq), 0, 0, 0, 9, 0, 0, 0, ssrc, 'd', 'a', 't', 'a'}
}

func rtcp(ssrc byte) []byte { return []byte{0x80, 201, 0, 1, 0, 0, 0, ssrc} }

func TestKeysNameWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		profile   srtp.Profile
		key, salt int
		want      string
	}{
		{0x0002, 16, 14, "SRTP profile 0x0002: not supported; valid: AEAD_AES_256_GCM, AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80"},
		{srtp.AEADAES256GCM, 16, 12, "AEAD_AES_256_GCM: master key of 16 bytes; valid: 32"},
		{srtp.AEADAES128GCM, 16, 14, "AEAD_AES_128_GCM: master salt of 14 bytes; valid: 12"},
		{srtp.AES128CMHMACSHA180, 16, 12, "AES_CM_128_HMAC_SHA1_80: master salt of 12 bytes; valid: 14"},
	} {
		_, err := srtp.NewKeys(c.profile, make([]byte, c.key), make([]byte, c.salt))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if k := keys(t, srtp.AEADAES128GCM); k.Profile() != srtp.AEADAES128GCM {
		t.Errorf("profile %v", k.Profile())
	} else if got := fmt.Sprintf("%v %+v", k, k); got != "AEAD_AES_128_GCM AEAD_AES_128_GCM" {
		t.Errorf("printed keys: %s", got)
	}
}

func TestSealerRefuses(t *testing.T) {
	s := keys(t, srtp.AEADAES128GCM).Sealer()
	extension := append(rtp(1, 1)[:12:12], 0xbe, 0xde, 0, 1, 0x10, 0, 0, 0)
	extension[0] |= 0x10
	for _, c := range []struct {
		name    string
		header  []byte
		payload []byte
		want    error
	}{
		{"short header", make([]byte, 11, 100), nil, srtp.ErrMalformed},
		{"version 1", append([]byte{0x40}, room(rtp(1, 1))[1:12]...), nil, srtp.ErrMalformed},
		{"payload taken for header", room(rtp(1, 1)), nil, srtp.ErrMalformed},
		{"extension taken for payload", room(extension)[:12], nil, srtp.ErrMalformed},
		{"half an extension's header", room(extension)[:14], nil, srtp.ErrMalformed},
		{"no room", rtp(1, 1)[:12:16], []byte("12345"), srtp.ErrRoom},
	} {
		if _, err := s.RTP(c.header, c.payload); err != c.want {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := s.RTCP(rtcp(1)[:7]); err != srtp.ErrMalformed {
		t.Errorf("short RTCP: %v", err)
	}
	if _, err := s.RTCP(rtcp(1)[:8:8]); err != srtp.ErrRoom {
		t.Errorf("RTCP without room: %v", err)
	}
}

func TestNoIndexIsSealedTwice(t *testing.T) {
	s := keys(t, srtp.AEADAES128GCM).Sealer()
	for _, step := range []struct {
		ssrc byte
		seq  uint16
		want error
	}{
		{1, 10, nil}, {1, 10, srtp.ErrRepeated}, {1, 12, nil}, {1, 11, nil}, {1, 11, srtp.ErrRepeated},
		{2, 10, nil}, {1, 10, srtp.ErrRepeated}, {1, 5000, nil}, {1, 13, srtp.ErrRepeated},
	} {
		if _, err := sealRTP(s, rtp(step.ssrc, step.seq), 12); err != step.want {
			t.Fatalf("ssrc %d, sequence number %d: got %v, want %v", step.ssrc, step.seq, err, step.want)
		}
	}
}

func TestSealersOfTheSameKeysHaveDifferentStreams(t *testing.T) {
	k := keys(t, srtp.AES128CMHMACSHA180)
	a, b := k.Sealer(), k.Sealer()
	if _, err := sealRTP(a, rtp(1, 1), 12); err != nil {
		t.Fatal(err)
	}
	if _, err := sealRTP(b, rtp(1, 2), 12); err != srtp.ErrTaken {
		t.Errorf("RTP: got %v, want %v", err, srtp.ErrTaken)
	}
	if err := b.Start(1, 9); err != srtp.ErrTaken {
		t.Errorf("Start: got %v, want %v", err, srtp.ErrTaken)
	}
	if _, err := b.RTCP(room(rtcp(1))); err != nil { // reports have indices of their own
		t.Error(err)
	}
	if _, err := a.RTCP(room(rtcp(1))); err != srtp.ErrTaken {
		t.Errorf("RTCP: got %v, want %v", err, srtp.ErrTaken)
	}
}

// Sealers of the same keys work at the same time, each for its stream, as the race
// detector confirms; one opener opens all of it.
func TestSealersOfTheSameKeysAtTheSameTime(t *testing.T) {
	for _, p := range profiles {
		k := keys(t, p)
		sealed := make([][][]byte, 4)
		var wg sync.WaitGroup
		for i := range sealed {
			wg.Go(func() {
				s := k.Sealer()
				for seq := range uint16(200) {
					packet, err := sealRTP(s, rtp(byte(i), seq), 12)
					if err != nil {
						t.Error(err)
						return
					}
					sealed[i] = append(sealed[i], packet)
				}
			})
		}
		wg.Wait()
		o := k.Opener(srtp.OpenerConfig{})
		for i, packets := range sealed {
			for seq, packet := range packets {
				header, payload, err := o.RTP(packet)
				if err != nil || !bytes.Equal(append(header, payload...), rtp(byte(i), uint16(seq))) {
					t.Fatalf("%v, stream %d, packet %d: %v", p, i, seq, err)
				}
			}
		}
	}
}

func TestStreamsThatBeginLate(t *testing.T) {
	for _, p := range profiles {
		s := keys(t, p).Sealer()
		theirs := pionContext(t, p)
		if err := s.Start(1, 0xffffffff); err != nil {
			t.Fatal(err)
		}
		theirs.SetROC(1, 0xffffffff)
		sealed, err := sealRTP(s, rtp(1, 0xffff), 12)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := theirs.EncryptRTP(nil, rtp(1, 0xffff), nil); err != nil || !bytes.Equal(sealed, want) {
			t.Errorf("%v: %v\n got %x\nwant %x", p, err, sealed, want)
		}
		if _, err := sealRTP(s, rtp(1, 0), 12); err != srtp.ErrExhausted {
			t.Errorf("%v: the packet after the last: %v", p, err)
		}
		o := keys(t, p).Opener(srtp.OpenerConfig{})
		if _, _, err := o.RTP(room(sealed)); err != srtp.ErrUnauthentic {
			t.Errorf("%v: opened with counter 0: %v", p, err)
		}
		if !o.Start(1, 0xffffffff) {
			t.Errorf("%v: a packet that is not authentic has begun a stream", p)
		}
		if _, _, err := o.RTP(room(sealed)); err != nil {
			t.Errorf("%v: %v", p, err)
		}
		if o.Start(1, 3) {
			t.Errorf("%v: a stream began twice", p)
		}
		if _, _, err := o.RTP(room(rtp(1, 0))); err != srtp.ErrMalformed {
			t.Errorf("%v: shorter than a tag: %v", p, err)
		}
		if _, _, err := o.RTP(append(rtp(1, 0), make([]byte, 16)...)); err != srtp.ErrExhausted {
			t.Errorf("%v: the packet after the last: %v", p, err)
		}
	}
}

func TestOpenerBoundsItsStreams(t *testing.T) {
	for _, p := range profiles {
		s, o := keys(t, p).Sealer(), keys(t, p).Opener(srtp.OpenerConfig{Streams: 2})
		for i, want := range []error{nil, nil, srtp.ErrStreams} {
			packet, err := sealRTP(s, rtp(byte(i), 1), 12)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := o.RTP(packet); err != want {
				t.Errorf("%v, RTP stream %d: got %v, want %v", p, i, err, want)
			}
			report, err := s.RTCP(room(rtcp(byte(i))))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.RTCP(report); err != want {
				t.Errorf("%v, RTCP stream %d: got %v, want %v", p, i, err, want)
			}
		}
	}
}

func TestSealingFromElsewhere(t *testing.T) {
	for _, p := range profiles {
		s, o := keys(t, p).Sealer(), keys(t, p).Opener(srtp.OpenerConfig{})
		packet, payload := make([]byte, 12, 200), bytes.Repeat([]byte("payload"), 9)
		copy(packet, rtp(3, 3))
		sealed, err := s.RTP(packet, payload)
		if err != nil || &sealed[0] != &packet[0] {
			t.Fatalf("%v: %v", p, err)
		}
		if !bytes.Equal(payload, bytes.Repeat([]byte("payload"), 9)) {
			t.Errorf("%v: sealing changed the payload", p)
		}
		if _, got, err := o.RTP(sealed); err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%v: %v, got %q", p, err, got)
		}
	}
}

func TestNothingIsAllocatedForAPacket(t *testing.T) {
	for _, p := range profiles {
		s, o := keys(t, p).Sealer(), keys(t, p).Opener(srtp.OpenerConfig{})
		buf, seq := make([]byte, 12+1200, 1500), uint16(0)
		report := make([]byte, 8, 60)
		if n := testing.AllocsPerRun(2000, func() {
			for ssrc := range byte(3) {
				copy(buf, rtp(ssrc, seq))
				sealed, err := s.RTP(buf[:12], buf[12:])
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := o.RTP(sealed); err != nil {
					t.Fatal(err)
				}
				if _, _, err := o.RTP(sealed); err == nil {
					t.Fatal("opened twice")
				}
				copy(buf, rtp(ssrc+100, seq)) // an SSRC that nobody knows
				if _, _, err := o.RTP(sealed); err == nil {
					t.Fatal("opened with another SSRC")
				}
				copy(report, rtcp(ssrc))
				sealed, err = s.RTCP(report)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := o.RTCP(sealed); err != nil {
					t.Fatal(err)
				}
			}
			seq++
		}); n != 0 {
			t.Errorf("%v: %v allocations", p, n)
		}
	}
}

// FuzzOpen: whatever comes from the network, an opener neither panics nor writes past
// the packet, and accepts only what was sealed, whether or not it is encrypted.
func FuzzOpen(f *testing.F) {
	for i, p := range profiles {
		packet, _ := sealRTP(keys(f, p).Sealer(), rtp(1, 1), 12)
		f.Add(byte(i), packet)
		report, _ := keys(f, p).Sealer().RTCP(room(rtcp(1)))
		f.Add(byte(i), report)
		clear, _ := pionContext(f, p, pion.SRTCPNoEncryption()).EncryptRTCP(nil, rtcp(1), nil)
		f.Add(byte(i), clear)
	}
	f.Add(byte(0), []byte{0x9f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, profile byte, packet []byte) {
		p := profiles[int(profile)%len(profiles)]
		canary := []byte("behind the packet")
		check := func(what string, buf []byte) {
			if !bytes.Equal(buf[len(packet):cap(buf)][:len(canary)], canary) {
				t.Fatalf("%s wrote behind %x", what, packet)
			}
		}
		guarded := func() []byte {
			buf := append(append(make([]byte, 0, len(packet)+len(canary)), packet...), canary...)
			return buf[:len(packet)]
		}
		k := keys(t, p)
		o := k.Opener(srtp.OpenerConfig{ClearRTCP: true})
		buf := guarded()
		header, payload, err := o.RTP(buf)
		check("RTP", buf)
		if err == nil {
			again := append(room(header), make([]byte, len(payload)+32)...)[:len(header)]
			sealed, err := k.Sealer().RTP(again, payload)
			if err != nil || !bytes.Equal(sealed, packet) {
				t.Fatalf("opened %x, which seals to %x, %v", packet, sealed, err)
			}
		}
		buf = guarded()
		if _, err = o.RTCP(buf); err == nil && len(packet) < 8+p.OverheadRTCP() {
			t.Fatalf("opened %x", packet)
		}
		check("RTCP", buf)
	})
}
