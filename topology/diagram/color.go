package diagram

// mediaColors and signalingColors light up paths; each has enough contrast with
// white for a line (WCAG 2.2, 1.4.11), and neighbours differ in lightness too.
var (
	mediaColors     = [...]string{"#0f766e", "#c2410c", "#1d4ed8", "#a21caf"}
	signalingColors = [...]string{"#6d28d9", "#b45309", "#475569", "#be123c"}
)

// color is that of the path at an index.
func color(i int, media bool) string {
	if media {
		return mediaColors[i%len(mediaColors)]
	}
	return signalingColors[i%len(signalingColors)]
}
