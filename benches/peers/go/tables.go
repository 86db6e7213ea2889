package main

import "time"

const slots = 65536

type triple [3]int64

func alloc(a *arguments) outcome {
	n := said(a.n, 20_000_000)
	tables := make([][]*triple, a.threads)
	start := time.Now()
	onThreads(a.threads, func(t uint64) {
		table := make([]*triple, slots)
		for i := range n {
			table[i%slots] = &triple{int64(i), 1, 2}
		}
		tables[t] = table
	})
	o := outcome{time.Since(start), used(), n * a.threads, nil, 0}
	for _, table := range tables {
		for slot := range min(n, slots) {
			last := int64(slot + (n-1-slot)/slots*slots)
			if *table[slot] != (triple{last, 1, 2}) {
				fail("slot %d holds %v", slot, *table[slot])
			}
			o.check += uint64(last)
		}
	}
	return o
}

// A buffer of 1,024 bytes, set eight at a time.
type buffer [128]uint64

func filled(i uint64) *buffer {
	b, value := new(buffer), i&255*0x0101010101010101
	for j := range b {
		b[j] = value
	}
	return b
}

func cache(a *arguments) outcome {
	n := said(a.slots, 200_000)
	table := make([]*buffer, n)
	for t := range a.threads {
		lo, hi := share(n, t, a.threads)
		for i := range hi - lo {
			table[lo+i] = filled(i)
		}
	}
	ops, latencies := make([]uint64, a.threads), newHistograms(a.threads)
	wall := onThreads(a.threads, func(t uint64) {
		lo, hi := share(n, t, a.threads)
		mine := table[lo:hi]
		i, slot := hi-lo, 0
		ops[t] = a.inUnits(1, latencies[t], func() {
			mine[slot] = filled(i)
			i++
			if slot++; slot == len(mine) {
				slot = 0
			}
		})
	})
	o := outcome{wall, used(), sum(ops), merge(latencies), 0}
	for t := range a.threads {
		lo, hi := share(n, t, a.threads)
		for slot := range hi - lo {
			last := (slot + (hi-lo+ops[t]-1-slot)/(hi-lo)*(hi-lo)) & 255
			for _, word := range table[lo+slot] {
				if word != last*0x0101010101010101 {
					fail("slot %d of share %d holds a byte of another insert", slot, t)
				}
				o.check += last * 8
			}
		}
	}
	return o
}

// A node of the graph of churn.
type vertex struct {
	id  int64
	out [4]*vertex
}

func step(table []*vertex, x *uint64) {
	i := next(x) % uint64(len(table))
	r := next(x)
	v := table[i]
	if r&3 == 0 {
		table[i] = &vertex{v.id, v.out}
		return
	}
	w := v.out[r>>8&3]
	if r&4 == 0 {
		w = table[(r>>16)%uint64(len(table))]
	} else if u := w.out[r>>10&3]; u != nil {
		w = u
	}
	v.out[r>>12&3] = w
}

func churn(a *arguments) outcome {
	n := said(a.nodes, 2_000_000)
	table := make([]*vertex, n)
	for i := range table {
		table[i] = &vertex{id: int64(i)}
	}
	x := uint64(setUpSeed)
	for _, v := range table {
		for k := range v.out {
			v.out[k] = table[next(&x)%n]
		}
	}
	ops, latencies := make([]uint64, a.threads), newHistograms(a.threads)
	wall := onThreads(a.threads, func(t uint64) {
		lo, hi := share(n, t, a.threads)
		mine, x := table[lo:hi], threadSeed(t)
		ops[t] = a.inUnits(100, latencies[t], func() {
			for range 100 {
				step(mine, &x)
			}
		})
	})
	o := outcome{wall, used(), sum(ops), merge(latencies), 0}
	for i, v := range table {
		if v.id != int64(i) {
			fail("node %d has the id %d", i, v.id)
		}
		hash := uint64(v.id)
		for _, target := range v.out {
			if target == nil || target.id < 0 || uint64(target.id) >= n {
				fail("node %d has a bad edge", i)
			}
			hash = (hash ^ uint64(target.id)) * 0x9E3779B97F4A7C15
			hash ^= hash >> 32
		}
		if a.threads == 1 && a.bySteps {
			o.check += hash
		} else {
			o.check += uint64(v.id)
		}
	}
	return o
}
