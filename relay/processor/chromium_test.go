package processor_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync"
	"testing"

	"github.com/callpath/callpath/relay/forward/srtp"
	"github.com/callpath/callpath/relay/processor"
)

// page joins with a moving picture and a tone, and reports what it gets.
const page = `<!doctype html><title>participant</title><script>
(async () => {
  const name = location.hash.slice(1);
  const tell = what => fetch('/report', {method: 'POST', body: JSON.stringify({name, ...what})});
  try {
    const canvas = document.createElement('canvas');
    canvas.width = 640; canvas.height = 360;
    const brush = canvas.getContext('2d');
    setInterval(() => { brush.fillStyle = 'hsl(' + Date.now() / 10 % 360 + ',90%,50%)'; brush.fillRect(0, 0, 640, 360); }, 50);
    const sound = new AudioContext(), tone = sound.createOscillator(), out = sound.createMediaStreamDestination();
    tone.connect(out); tone.start();
    const pc = new RTCPeerConnection();
    pc.addTransceiver(out.stream.getAudioTracks()[0], {direction: 'sendonly'});
    pc.addTransceiver(canvas.captureStream(20).getVideoTracks()[0], {direction: 'sendonly', sendEncodings: [
      {rid: 'low', scaleResolutionDownBy: 2, maxBitrate: 100000}, {rid: 'high', maxBitrate: 500000}]});
    for (let i = 0; i < 2; i++) { pc.addTransceiver('audio', {direction: 'recvonly'}); pc.addTransceiver('video', {direction: 'recvonly'}); }
    pc.createDataChannel('refused');
    await pc.setLocalDescription();
    await new Promise(done => { if (pc.iceGatheringState == 'complete') done(); pc.onicegatheringstatechange = () => pc.iceGatheringState == 'complete' && done(); });
    const answer = await fetch('/join?name=' + name, {method: 'POST', body: pc.localDescription.sdp});
    if (!answer.ok) throw new Error(await answer.text());
    await pc.setRemoteDescription({type: 'answer', sdp: await answer.text()});
    setInterval(async () => {
      let frames = 0, samples = 0, width = 0, profile = '';
      for (const s of (await pc.getStats()).values()) {
        if (s.type == 'inbound-rtp') { frames += s.framesDecoded || 0; width = Math.max(width, s.frameWidth || 0); if (s.kind == 'audio') samples += s.packetsReceived; }
        if (s.type == 'transport') profile = s.srtpCipher;
      }
      tell({frames, samples, width, profile});
    }, 200);
  } catch (e) { tell({error: String(e)}); }
})();
</script>`

// pageReport is what a page tells.
type pageReport struct {
	Name, Error, Profile string
	Frames, Samples      int
	Width                int // of the largest picture
}

// Two pages of Chromium see and hear each other, with each profile.
func TestChromiumNegotiatesEachProfile(t *testing.T) {
	chromium := program(t, "chromium")
	t.Parallel()
	for _, profile := range []srtp.Profile{srtp.AES128CMHMACSHA180, srtp.AEADAES128GCM, srtp.AEADAES256GCM} {
		t.Run(profile.String(), func(t *testing.T) {
			s := serve(t, func(c *processor.Config) { c.Profiles = []srtp.Profile{profile} })
			var mu sync.Mutex
			reports := make(map[string]pageReport)
			mux := http.NewServeMux()
			mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write([]byte(page))
			})
			mux.HandleFunc("GET /both", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write([]byte(`<iframe src="/#left"></iframe><iframe src="/#right"></iframe>`))
			})
			mux.HandleFunc("POST /join", func(w http.ResponseWriter, r *http.Request) {
				b := make([]byte, 1<<18)
				n := 0
				for {
					k, err := r.Body.Read(b[n:])
					n += k
					if err != nil {
						break
					}
				}
				answer, err := s.Join(r.Context(), processor.Join{Conference: "meeting", Participant: r.FormValue("name"), Offer: string(b[:n])})
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadRequest)
					return
				}
				_, _ = w.Write([]byte(answer))
			})
			mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
				var one pageReport
				if json.NewDecoder(r.Body).Decode(&one) == nil {
					mu.Lock()
					defer mu.Unlock()
					reports[one.Name] = one
				}
			})
			web := httptest.NewServer(mux)
			t.Cleanup(web.Close)
			browse(t, chromium, web.URL+"/both")
			for _, name := range []string{"left", "right"} {
				if n := s.event(t, processor.EventNegotiated, name).Negotiated; n.SRTPProfile != profile.String() {
					t.Errorf("%s negotiated %+v", name, n)
				}
			}
			t.Cleanup(func() {
				if t.Failed() {
					mu.Lock()
					defer mu.Unlock()
					t.Logf("%+v, %+v", reports, s.Stats())
				}
			})
			until(t, "both pages see and hear each other", func() bool {
				mu.Lock()
				defer mu.Unlock()
				for _, name := range []string{"left", "right"} {
					r := reports[name]
					if r.Error != "" {
						t.Fatalf("%s: %s", name, r.Error)
					}
					// The path has room for the high layer, as feedback and probes show.
					if r.Frames < 10 || r.Samples < 10 || r.Width != 640 {
						return false
					}
				}
				return true
			})
			mu.Lock()
			defer mu.Unlock()
			t.Logf("%+v, drops %v", reports, s.Stats().Drops)
		})
	}
}

// browse opens a page in a browser, which ends with the test.
func browse(t *testing.T, chromium, page string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	args := []string{"--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + t.TempDir(), "--no-first-run",
		"--autoplay-policy=no-user-gesture-required", "--disable-features=WebRtcHideLocalIpsWithMdns",
		"--allow-loopback-in-peer-connection", "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
		"--disable-backgrounding-occluded-windows"}
	cmd := exec.CommandContext(ctx, chromium, append(args, page)...)
	ok(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
}
