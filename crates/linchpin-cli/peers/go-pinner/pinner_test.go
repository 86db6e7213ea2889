// The Pinner benchmark that Go's runtime has not: one object for all goroutines.
package pinner

import (
	"runtime"
	"testing"
)

// Three words, no pointers, as the object of the other benchmarks.
type triple struct {
	words [3]int64
}

func BenchmarkPinnerPinUnpinShared(b *testing.B) {
	shared := new(triple)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			var pinner runtime.Pinner
			pinner.Pin(shared)
			pinner.Unpin()
		}
	})
}
