package dlp

import (
	"fmt"
	"strings"
	"testing"
)

// The cost of a byte must not grow with the message.
func BenchmarkInspect(b *testing.B) {
	p := everything()
	for _, piece := range []string{"Lunch at 12? ", "4 ", "visa 4111111111111111 ", "ﷺ"} {
		for _, size := range []int{1 << 10, MaxSize} {
			text := strings.Repeat(piece, size/len(piece))
			b.Run(fmt.Sprintf("%.4q/%d", piece, size), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					p.Inspect(Message{Text: text})
				}
			})
		}
	}
}
