package main

import (
	"math"
	"math/bits"
	"syscall"
	"unsafe"
)

// Buckets a power of two: each is less than a thousandth wide. The first ones hold a nanosecond each, the last one ends at
// five hours.
const (
	linear  = 1024
	powers  = 34
	buckets = linear * (powers + 1)
)

// Latencies, in a fixed log-linear histogram outside Go's heap.
type histogram struct {
	total, maximum uint64
	counts         [buckets]uint64
}

func newHistograms(threads uint64) []*histogram {
	all := make([]*histogram, threads)
	for t := range all {
		memory, err := syscall.Mmap(-1, 0, int(unsafe.Sizeof(histogram{})), syscall.PROT_READ|syscall.PROT_WRITE,
			syscall.MAP_PRIVATE|syscall.MAP_ANON)
		if err != nil {
			fail("%v", err)
		}
		all[t] = (*histogram)(unsafe.Pointer(unsafe.SliceData(memory)))
	}
	return all
}

func (h *histogram) record(nanoseconds uint64) {
	place := nanoseconds
	if nanoseconds >= linear {
		power := uint64(bits.Len64(nanoseconds/linear) - 1)
		place = min((power+1)*linear+nanoseconds>>power-linear, buckets-1)
	}
	h.counts[place]++
	h.total++
	h.maximum = max(h.maximum, nanoseconds)
}

func merge(all []*histogram) *histogram {
	for _, other := range all[1:] {
		for place, count := range other.counts {
			all[0].counts[place] += count
		}
		all[0].total += other.total
		all[0].maximum = max(all[0].maximum, other.maximum)
	}
	return all[0]
}

// The latency, in microseconds, that a fraction of all does not exceed.
func (h *histogram) quantile(fraction float64) float64 {
	rank, seen := max(1, uint64(math.Ceil(fraction*float64(h.total)))), uint64(0)
	for place, count := range h.counts {
		if seen += count; seen >= rank {
			edge := uint64(place)
			if place >= linear {
				power := edge/linear - 1
				edge = (edge%linear+linear+1)<<power - 1
			}
			return float64(min(edge, h.maximum)) / 1e3
		}
	}
	return float64(h.maximum) / 1e3
}
