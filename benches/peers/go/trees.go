package main

import "time"

type node struct {
	left, right *node
}

func build(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	left := build(depth - 1)
	right := build(depth - 1)
	return &node{left, right}
}

func (n *node) count() uint64 {
	total := uint64(1)
	if n.left != nil {
		total += n.left.count()
	}
	if n.right != nil {
		total += n.right.count()
	}
	return total
}

func trees(a *arguments) outcome {
	start := time.Now()
	check := build(a.depth + 1).count()
	kept := build(a.depth)
	sums := make([]uint64, a.threads)
	onThreads(a.threads, func(t uint64) {
		total := uint64(0)
		for d := 4; d <= a.depth; d += 2 {
			for i := t; i < 1<<(a.depth-d+4); i += a.threads {
				total += build(d).count()
			}
		}
		sums[t] = total
	})
	check += sum(sums) + kept.count()
	return outcome{time.Since(start), used(), check, nil, check}
}

// Of gcbench.
type tall struct {
	left, right *tall
	height      [2]int64
}

func leaf(height int) *tall {
	return &tall{height: [2]int64{int64(height), int64(height)}}
}

// A leaf that is not on the stack, whatever the compiler finds out about its use.
//
//go:noinline
func root(height int) *tall {
	return leaf(height)
}

// Attaches what is below; returns how many nodes that are.
func (n *tall) populate(height int) uint64 {
	if height == 0 {
		return 0
	}
	n.left = leaf(height - 1)
	n.right = leaf(height - 1)
	return 2 + n.left.populate(height-1) + n.right.populate(height-1)
}

func bottomUp(height int, nodes *uint64) *tall {
	*nodes++
	if height == 0 {
		return leaf(0)
	}
	left := bottomUp(height-1, nodes)
	right := bottomUp(height-1, nodes)
	return &tall{left, right, [2]int64{int64(height), int64(height)}}
}

func (n *tall) verify(height int) uint64 {
	if n.height != [2]int64{int64(height), int64(height)} {
		fail("a node of the kept tree has changed")
	}
	if (n.left == nil) != (height == 0) || (n.right == nil) != (height == 0) {
		fail("the kept tree has lost its shape")
	}
	if height == 0 {
		return 1
	}
	return 1 + n.left.verify(height-1) + n.right.verify(height-1)
}

func size(depth int) uint64 {
	return 1<<(depth+1) - 1
}

func gcbench(a *arguments) outcome {
	start := time.Now()
	kept := root(a.depth)
	check := 1 + kept.populate(a.depth)
	array := make([]float64, said(a.elements, 4_000_000))
	for i := range array {
		array[i] = 1 / float64(i+1)
	}
	sums := make([]uint64, a.threads)
	onThreads(a.threads, func(t uint64) {
		nodes := uint64(0)
		for d := 4; d <= a.depth; d += 2 {
			trees := 2 * size(a.depth+2) / size(d)
			for i := t; i < trees; i += a.threads {
				nodes += 1 + root(d).populate(d)
			}
			for i := t; i < trees; i += a.threads {
				bottomUp(d, &nodes)
			}
		}
		sums[t] = nodes
	})
	check += sum(sums)
	o := outcome{time.Since(start), used(), check, nil, check}
	if kept.verify(a.depth) != size(a.depth) {
		fail("the kept tree has lost nodes")
	}
	verifyArray(array)
	return o
}
