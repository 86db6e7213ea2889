// The benchmarks' workloads for Go's collector, the same as those of `linchpin bench`.
//
//	peers WORKLOAD --threads T [--secs S | --steps N] [sizes, under the names that linchpin bench has for them] [--json]
//
// What each does, and how its check is computed, stands in crates/linchpin-cli/src/bench/CHECKS.md.
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type arguments struct {
	threads, steps                         uint64
	secs                                   float64
	depth                                  int
	n, nodes, slots, elements, collections uint64
	bySteps                                bool
}

// What came of a workload.
type outcome struct {
	wall      time.Duration
	usage     usage
	ops       uint64
	latencies *histogram
	check     uint64
}

// What an option says, or what holds if nothing is said.
func said(option, standard uint64) uint64 {
	if option == 0 {
		return standard
	}
	return option
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

type usage struct {
	cpu, peak float64
	cycles    uint32
}

// What the process has used so far.
func used() usage {
	var times syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &times); err != nil {
		fail("%v", err)
	}
	// The peak that getrusage tells includes that of the program which started this one.
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fail("%v", err)
	}
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	words := strings.Fields(rest)
	if !found || len(words) == 0 {
		fail("the system does not tell how much memory was used")
	}
	peak, err := strconv.ParseFloat(words[0], 64)
	if err != nil {
		fail("%v", err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	cpu := float64(times.Utime.Sec+times.Stime.Sec) + float64(times.Utime.Usec+times.Stime.Usec)/1e6
	return usage{cpu, peak / 1024, memory.NumGC}
}

// Runs work on each thread, all at once; returns the time from the first one's start to the last one's end.
func onThreads(threads uint64, work func(thread uint64)) time.Duration {
	starts, ends := make([]time.Time, threads), make([]time.Time, threads)
	var ready, done sync.WaitGroup
	ready.Add(int(threads))
	for t := range threads {
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			ready.Wait()
			starts[t] = time.Now()
			work(t)
			ends[t] = time.Now()
		}()
	}
	done.Wait()
	first, last := starts[0], ends[0]
	for t := range threads {
		if starts[t].Before(first) {
			first = starts[t]
		}
		if ends[t].After(last) {
			last = ends[t]
		}
	}
	return last.Sub(first)
}

// Works in units of size steps until the limit is reached; returns the steps done. The clock is read once between two
// units, so that a stall between them counts.
func (a *arguments) inUnits(size uint64, latencies *histogram, unit func()) uint64 {
	most, longest := (a.steps+size-1)/size, time.Duration(a.secs*1e9)
	units, start := uint64(0), time.Now()
	last := time.Duration(0)
	for (a.bySteps && units < most) || (!a.bySteps && last < longest) {
		unit()
		now := time.Since(start)
		latencies.record(uint64(now - last))
		last = now
		units++
	}
	return units * size
}

func share(n, thread, threads uint64) (lo, hi uint64) {
	return thread * n / threads, (thread + 1) * n / threads
}

const setUpSeed = 88172645463325252

func threadSeed(thread uint64) uint64 {
	return 0x9E3779B97F4A7C15 * (thread + 1)
}

func next(x *uint64) uint64 {
	*x ^= *x << 13
	*x ^= *x >> 7
	*x ^= *x << 17
	return *x
}

func sum(of []uint64) uint64 {
	total := uint64(0)
	for _, each := range of {
		total += each
	}
	return total
}

func main() {
	workloads := map[string]func(*arguments) outcome{
		"trees": trees, "gcbench": gcbench, "alloc": alloc, "churn": churn, "cache": cache, "hiccup": hiccup,
		"types": types, "array": array, "list": list,
	}
	if len(os.Args) < 2 || workloads[os.Args[1]] == nil {
		fail("which workload?")
	}
	var a arguments
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.Uint64Var(&a.threads, "threads", 1, "threads that work")
	flags.Uint64Var(&a.steps, "steps", 0, "steps of each thread, instead of a time")
	flags.Float64Var(&a.secs, "secs", 5, "for how long")
	flags.IntVar(&a.depth, "depth", 18, "depth of the trees")
	flags.Uint64Var(&a.n, "n", 0, "objects that are allocated")
	flags.Uint64Var(&a.nodes, "nodes", 0, "nodes of the graph, or of a list")
	flags.Uint64Var(&a.slots, "slots", 0, "slots of the table")
	flags.Uint64Var(&a.elements, "array", 0, "elements of the kept array")
	flags.Uint64Var(&a.collections, "collections", 0, "collections that are asked for")
	flags.Bool("json", true, "as all programs take it")
	if err := flags.Parse(os.Args[2:]); err != nil || flags.NArg() > 0 || a.threads == 0 {
		fail("these are no arguments: %v", os.Args[2:])
	}
	flags.Visit(func(f *flag.Flag) { a.bySteps = a.bySteps || f.Name == "steps" })
	o := workloads[os.Args[1]](&a)
	latency := func(of func(*histogram) float64) string {
		if o.latencies == nil {
			return "null"
		}
		return strconv.FormatFloat(of(o.latencies), 'f', 3, 64)
	}
	quantile := func(fraction float64) string {
		return latency(func(h *histogram) float64 { return h.quantile(fraction) })
	}
	fmt.Printf("{\"w\":\"%s\",\"threads\":%d,\"wall_s\":%.6f,\"cpu_s\":%.6f,\"ops\":%d,\"ns_op\":%.3f,\"rss_mb\":%.1f,"+
		"\"cycles\":%d,\"p50\":%s,\"p99\":%s,\"p999\":%s,\"p9999\":%s,\"max\":%s,\"wait_max_us\":null,\"check\":%d}\n",
		os.Args[1], a.threads, o.wall.Seconds(), o.usage.cpu, o.ops, o.wall.Seconds()*1e9/float64(o.ops), o.usage.peak,
		o.usage.cycles, quantile(0.5), quantile(0.99), quantile(0.999), quantile(0.9999),
		latency(func(h *histogram) float64 { return float64(h.maximum) / 1e3 }), o.check&(1<<53-1))
}

func hiccup(a *arguments) outcome {
	ops, lasts := make([]uint64, a.threads), make([]uint64, a.threads)
	latencies := newHistograms(a.threads)
	wall := onThreads(a.threads, func(t uint64) {
		x := threadSeed(t)
		ops[t] = a.inUnits(1, latencies[t], func() {
			for range 5000 {
				next(&x)
			}
		})
		lasts[t] = x
		if ops[t] == 0 {
			lasts[t] = 0
		}
	})
	return outcome{wall, used(), sum(ops), merge(latencies), sum(lasts)}
}

// Fails unless the kept array is as it was made.
func verifyArray(array []float64) {
	for i, value := range array {
		if math.Float64bits(value) != math.Float64bits(1/float64(i+1)) {
			fail("element %d of the kept array has changed", i)
		}
	}
}
