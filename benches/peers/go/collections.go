package main

import (
	"runtime"
	"sync"
	"time"
)

const (
	kinds     = 200
	kindSlots = 1000
)

// A type for each K; K is an array of another length each time, so that no two have the same code either.
type object[K any] struct {
	number uint64
	before *object[K]
}

type keeper interface {
	store(number uint64)
	verify(number uint64)
	count() uint64
}

type kept[K any] struct {
	table [kindSlots]*object[K]
}

func (k *kept[K]) store(number uint64) {
	slot := number / kinds % kindSlots
	made := &object[K]{number: number}
	if slot != 0 {
		made.before = k.table[slot-1]
	}
	k.table[slot] = made
}

func (k *kept[K]) verify(number uint64) {
	slot := number / kinds % kindSlots
	found := k.table[slot]
	if found == nil || found.number != number {
		fail("object %d is not there", number)
	}
	if (found.before == nil) != (slot == 0) || (slot != 0 && found.before.number != number-kinds) {
		fail("object %d does not lead to the one before it", number)
	}
}

func (k *kept[K]) count() uint64 {
	count := uint64(0)
	for _, each := range k.table {
		if each != nil {
			count++
		}
	}
	return count
}

func types(a *arguments) outcome {
	n := said(a.n, 20_000_000)
	tables := make([][]keeper, a.threads)
	start := time.Now()
	onThreads(a.threads, func(t uint64) {
		table := allKinds()
		for number := range n {
			table[number%kinds].store(number)
		}
		tables[t] = table
	})
	o := outcome{time.Since(start), used(), n * a.threads, nil, 0}
	last := uint64(0)
	if n > kinds*kindSlots {
		last = n - kinds*kindSlots
	}
	for _, table := range tables {
		for number := last; number < n; number++ {
			table[number%kinds].verify(number)
			o.check += number
		}
		count := uint64(0)
		for _, kind := range table {
			count += kind.count()
		}
		if count != n-last {
			fail("the tables have %d objects", count)
		}
	}
	return o
}

type turned struct {
	slot, turn uint64
}

const (
	arrayUnit = 100
	stride    = 15485863
)

func array(a *arguments) outcome {
	n, slots := (said(a.n, 5_000_000)+arrayUnit-1)/arrayUnit*arrayUnit, said(a.slots, 10_000_000)
	table := make([]*turned, slots)
	for i := range table {
		table[i] = &turned{uint64(i), uint64(i)}
	}
	latencies := newHistograms(a.threads)
	length := arguments{steps: n, bySteps: true}
	var ended sync.WaitGroup
	over := make(chan struct{})
	ended.Add(1)
	go func() {
		defer ended.Done()
		for {
			runtime.GC()
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	wall := onThreads(a.threads, func(t uint64) {
		lo, hi := share(slots, t, a.threads)
		j := uint64(0)
		length.inUnits(arrayUnit, latencies[t], func() {
			for range arrayUnit {
				slot := lo + j*stride%(hi-lo)
				table[slot] = &turned{slot, slots + j}
				j++
			}
		})
	})
	close(over)
	ended.Wait()
	o := outcome{wall, used(), n * a.threads, merge(latencies), 0}
	for t := range a.threads {
		lo, hi := share(slots, t, a.threads)
		size := hi - lo
		// The last time that the thread came to each slot, or would have.
		for j := n; j < n+size; j++ {
			slot := lo + j*stride%size
			turn := slot
			if j >= size {
				turn = slots + j - size
			}
			if *table[slot] != (turned{slot, turn}) {
				fail("slot %d holds %v", slot, *table[slot])
			}
			o.check += turn
		}
	}
	return o
}

type link struct {
	number uint64
	next   *link
}

func list(a *arguments) outcome {
	nodes, collections := said(a.nodes, 5_000_000), said(a.collections, 10)
	lists := make([]*link, a.threads)
	for t := range lists {
		for number := range nodes {
			lists[t] = &link{number, lists[t]}
		}
	}
	latencies := newHistograms(1)
	length := arguments{steps: collections, bySteps: true}
	start := time.Now()
	length.inUnits(1, latencies[0], runtime.GC)
	o := outcome{time.Since(start), used(), nodes * a.threads * collections, latencies[0], 0}
	for _, node := range lists {
		for expected := nodes; expected > 0; expected-- {
			if node == nil || node.number != expected-1 {
				fail("node %d is not in its place", expected-1)
			}
			o.check += node.number
			node = node.next
		}
		if node != nil {
			fail("the list goes on behind its end")
		}
	}
	return o
}
