// Binary trees, exactly the work of `linchpin bench trees`.
package main

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

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

func (n *node) count() int64 {
	total := int64(1)
	if n.left != nil {
		total += n.left.count()
	}
	if n.right != nil {
		total += n.right.count()
	}
	return total
}

func main() {
	depth := flag.Int("depth", 18, "depth of the kept tree")
	threads := flag.Int("threads", 1, "threads that build")
	flag.Parse()
	start := time.Now()
	check := build(*depth + 1).count()
	kept := build(*depth)
	sums := make([]int64, *threads)
	var wait sync.WaitGroup
	for t := 0; t < *threads; t++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			sum := int64(0)
			for d := 4; d <= *depth; d += 2 {
				for i := t; i < 1<<(*depth-d+4); i += *threads {
					sum += build(d).count()
				}
			}
			sums[t] = sum
		}()
	}
	wait.Wait()
	for _, sum := range sums {
		check += sum
	}
	check += kept.count()
	wall := time.Since(start).Seconds()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cpu := float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
	fmt.Printf("{\"w\":\"trees\",\"threads\":%d,\"wall_s\":%.6f,\"cpu_s\":%.6f,\"ops\":%d,\"ns_op\":%.3f,\"rss_mb\":%.1f,\"check\":%d}\n",
		*threads, wall, cpu, check, wall*1e9/float64(check), float64(usage.Maxrss)/1024, check)
}
