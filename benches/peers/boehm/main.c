/* The benchmarks' workloads for Boehm's collector, the same as those of `linchpin bench`:
 *
 *     boehm WORKLOAD --threads T [--secs S | --steps N] [--depth D] [--n N] [--nodes N] [--slots N] [--array N] [--json]
 *
 * What each does, and how its check is computed, stands in crates/linchpin-cli/src/bench/CHECKS.md.
 * cc -O2 -DGC_THREADS main.c -lgc -lpthread -lm; `boehm --version` tells the collector's. */

#define _GNU_SOURCE
#include <gc.h>

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum { EXIT_CANNOT_EXPRESS = 4, MOST_THREADS = 64 };

static uint64_t threads = 1, steps, depth = 18, n, nodes, slots, array_elements;
static double secs = 5;
static bool by_steps;

static void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

static void *checked(void *memory) {
    if (memory == NULL)
        fail("there is no memory");
    return memory;
}

/* Memory that may hold pointers, zeroed; and memory that never does, as it comes. */
static void *allocate(size_t bytes) { return checked(GC_MALLOC(bytes)); }
static void *allocate_plain(size_t bytes) { return checked(GC_MALLOC_ATOMIC(bytes)); }

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t next(uint64_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static uint64_t thread_seed(uint64_t thread) { return UINT64_C(0x9E3779B97F4A7C15) * (thread + 1); }

/* Latencies, in a fixed log-linear histogram outside the collector's memory. Buckets a power of two: each is less than a
 * thousandth wide. The first ones hold a nanosecond each, the last one ends at five hours. */
enum { LINEAR = 1024, POWERS = 34, BUCKETS = LINEAR * (POWERS + 1) };

struct histogram {
    uint64_t total, maximum;
    uint64_t counts[BUCKETS];
};

static struct histogram *histogram(void) {
    void *memory = mmap(NULL, sizeof(struct histogram), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("there is no memory for latencies");
    return memory;
}

static void record(struct histogram *h, uint64_t time) {
    uint64_t place = time;
    if (time >= LINEAR) {
        uint64_t power = 63 - __builtin_clzll(time / LINEAR);
        place = (power + 1) * LINEAR + (time >> power) - LINEAR;
        if (place >= BUCKETS)
            place = BUCKETS - 1;
    }
    h->counts[place]++;
    h->total++;
    if (time > h->maximum)
        h->maximum = time;
}

static void merge(struct histogram *into, const struct histogram *from) {
    for (int place = 0; place < BUCKETS; place++)
        into->counts[place] += from->counts[place];
    into->total += from->total;
    if (from->maximum > into->maximum)
        into->maximum = from->maximum;
}

/* The latency, in microseconds, that a fraction of all does not exceed. */
static double quantile(const struct histogram *h, double fraction) {
    uint64_t rank = (uint64_t)ceil(fraction * (double)h->total), seen = 0;
    if (rank == 0)
        rank = 1;
    for (uint64_t place = 0; place < BUCKETS; place++) {
        seen += h->counts[place];
        if (seen >= rank) {
            uint64_t edge = place;
            if (place >= LINEAR)
                edge = ((place % LINEAR + LINEAR + 1) << (place / LINEAR - 1)) - 1;
            return (double)(edge < h->maximum ? edge : h->maximum) / 1e3;
        }
    }
    return (double)h->maximum / 1e3;
}

/* What came of a workload. */
static struct {
    uint64_t wall, ops, check, cycles;
    double cpu_seconds, peak_megabytes;
    struct histogram *latencies;
} outcome;

/* Notes what the process has used so far. */
static void note_usage(void) {
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) != 0)
        fail("the system does not tell what was used");
    outcome.cpu_seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                          (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    /* The peak that getrusage tells includes that of the program which started this one. */
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    uint64_t kibibytes = 0;
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmHWM: %" SCNu64, &kibibytes) == 1)
            break;
    if (status == NULL || kibibytes == 0)
        fail("the system does not tell how much memory was used");
    fclose(status);
    outcome.peak_megabytes = (double)kibibytes / 1024;
    outcome.cycles = GC_get_gc_no();
}

/* A thread's part of a workload. */
struct part {
    uint64_t thread, lo, hi, start, end, sum;
    struct histogram *latencies;
    void (*work)(struct part *);
    pthread_barrier_t *ready;
};

static void *run_part(void *argument) {
    struct part *part = argument;
    pthread_barrier_wait(part->ready);
    part->start = nanoseconds();
    part->work(part);
    part->end = nanoseconds();
    return NULL;
}

static struct part parts[MOST_THREADS];

/* Runs `work` on each thread, all at once, with its share of a table of `size` slots; returns the time from the first one's
 * start to the last one's end. */
static uint64_t on_threads(uint64_t size, void (*work)(struct part *)) {
    pthread_barrier_t ready;
    pthread_t handles[MOST_THREADS];
    pthread_barrier_init(&ready, NULL, (unsigned)threads);
    for (uint64_t t = 0; t < threads; t++) {
        parts[t] = (struct part){.thread = t, .lo = t * size / threads, .hi = (t + 1) * size / threads, .work = work,
                                 .latencies = histogram(), .ready = &ready};
        if (pthread_create(&handles[t], NULL, run_part, &parts[t]) != 0)
            fail("cannot start a thread");
    }
    uint64_t first = UINT64_MAX, last = 0;
    for (uint64_t t = 0; t < threads; t++) {
        pthread_join(handles[t], NULL);
        first = parts[t].start < first ? parts[t].start : first;
        last = parts[t].end > last ? parts[t].end : last;
    }
    return last - first;
}

static uint64_t sum_of_parts(void) {
    uint64_t sum = 0;
    for (uint64_t t = 0; t < threads; t++)
        sum += parts[t].sum;
    return sum;
}

static void merge_latencies(void) {
    outcome.latencies = parts[0].latencies;
    for (uint64_t t = 1; t < threads; t++)
        merge(outcome.latencies, parts[t].latencies);
}

/* Works in units of `size` steps until the limit is reached; notes the steps done. The clock is read once between two units,
 * so that a stall between them counts. */
#define IN_UNITS(part, size, unit)                                                                                     \
    do {                                                                                                               \
        uint64_t most_ = (steps + (size) - 1) / (size), longest_ = (uint64_t)(secs * 1e9), units_ = 0;                 \
        uint64_t start_ = nanoseconds(), last_ = start_;                                                               \
        while (by_steps ? units_ < most_ : last_ - start_ < longest_) {                                                \
            unit;                                                                                                      \
            uint64_t now_ = nanoseconds();                                                                             \
            record((part)->latencies, now_ - last_);                                                                   \
            last_ = now_;                                                                                              \
            units_++;                                                                                                  \
        }                                                                                                              \
        (part)->sum = units_ * (size);                                                                                 \
    } while (0)

struct node {
    struct node *left, *right;
};

static struct node *build(uint64_t height) {
    if (height == 0)
        return allocate(sizeof(struct node));
    struct node *left = build(height - 1), *right = build(height - 1);
    struct node *node = allocate(sizeof *node);
    node->left = left;
    node->right = right;
    return node;
}

static uint64_t count(const struct node *node) {
    return 1 + (node->left == NULL ? 0 : count(node->left)) + (node->right == NULL ? 0 : count(node->right));
}

static void share_of_trees(struct part *part) {
    for (uint64_t d = 4; d <= depth; d += 2)
        for (uint64_t i = part->thread; i < UINT64_C(1) << (depth - d + 4); i += threads)
            part->sum += count(build(d));
}

static void trees(void) {
    static struct node *kept;
    uint64_t start = nanoseconds();
    uint64_t sum = count(build(depth + 1));
    kept = build(depth);
    on_threads(0, share_of_trees);
    sum += sum_of_parts() + count(kept);
    outcome.wall = nanoseconds() - start;
    note_usage();
    outcome.ops = outcome.check = sum;
}

/* Of gcbench. */
struct tall {
    struct tall *left, *right;
    int64_t height[2];
};

static struct tall *leaf(uint64_t height) {
    struct tall *node = allocate(sizeof *node);
    node->height[0] = node->height[1] = (int64_t)height;
    return node;
}

/* Attaches what is below; returns how many nodes that are. */
static uint64_t populate(struct tall *node, uint64_t height) {
    if (height == 0)
        return 0;
    node->left = leaf(height - 1);
    node->right = leaf(height - 1);
    return 2 + populate(node->left, height - 1) + populate(node->right, height - 1);
}

static struct tall *bottom_up(uint64_t height, uint64_t *made) {
    ++*made;
    if (height == 0)
        return leaf(0);
    struct tall *left = bottom_up(height - 1, made), *right = bottom_up(height - 1, made);
    struct tall *node = leaf(height);
    node->left = left;
    node->right = right;
    return node;
}

static uint64_t tree_size(uint64_t height) { return (UINT64_C(2) << height) - 1; }

static uint64_t verify_tall(const struct tall *node, uint64_t height) {
    if (node->height[0] != (int64_t)height || node->height[1] != (int64_t)height)
        fail("a node of the kept tree has changed");
    if ((node->left == NULL) != (height == 0) || (node->right == NULL) != (height == 0))
        fail("the kept tree has lost its shape");
    return height == 0 ? 1 : 1 + verify_tall(node->left, height - 1) + verify_tall(node->right, height - 1);
}

static void share_of_gcbench(struct part *part) {
    for (uint64_t d = 4; d <= depth; d += 2) {
        uint64_t many = 2 * tree_size(depth + 2) / tree_size(d);
        for (uint64_t i = part->thread; i < many; i += threads)
            part->sum += 1 + populate(leaf(d), d);
        for (uint64_t i = part->thread; i < many; i += threads)
            bottom_up(d, &part->sum);
    }
}

static void gcbench(void) {
    static struct tall *kept;
    static double *array;
    uint64_t elements = array_elements ? array_elements : 4000000;
    uint64_t start = nanoseconds();
    kept = leaf(depth);
    uint64_t sum = 1 + populate(kept, depth);
    array = allocate_plain(elements * sizeof *array);
    for (uint64_t i = 0; i < elements; i++)
        array[i] = 1.0 / (double)(i + 1);
    on_threads(0, share_of_gcbench);
    sum += sum_of_parts();
    outcome.wall = nanoseconds() - start;
    note_usage();
    outcome.ops = outcome.check = sum;
    if (verify_tall(kept, depth) != tree_size(depth))
        fail("the kept tree has lost nodes");
    for (uint64_t i = 0; i < elements; i++)
        if (array[i] != 1.0 / (double)(i + 1))
            fail("element %" PRIu64 " of the kept array has changed", i);
}

enum { TABLE = 65536 };

struct triple {
    int64_t fields[3];
};

static struct triple **tables[MOST_THREADS];

static void share_of_alloc(struct part *part) {
    struct triple **table = tables[part->thread] = allocate(TABLE * sizeof *table);
    for (uint64_t i = 0; i < n; i++) {
        struct triple *triple = allocate_plain(sizeof *triple);
        triple->fields[0] = (int64_t)i;
        triple->fields[1] = 1;
        triple->fields[2] = 2;
        table[i % TABLE] = triple;
    }
}

static void alloc(void) {
    n = n ? n : 20000000;
    uint64_t start = nanoseconds();
    on_threads(0, share_of_alloc);
    outcome.wall = nanoseconds() - start;
    note_usage();
    outcome.ops = n * threads;
    for (uint64_t t = 0; t < threads; t++)
        for (uint64_t slot = 0; slot < TABLE && slot < n; slot++) {
            const struct triple *triple = tables[t][slot];
            uint64_t last = slot + (n - 1 - slot) / TABLE * TABLE;
            if (triple->fields[0] != (int64_t)last || triple->fields[1] != 1 || triple->fields[2] != 2)
                fail("slot %" PRIu64 " holds another object", slot);
            outcome.check += last;
        }
}

enum { BUFFER = 1024 };

static unsigned char **buffers;

static unsigned char *filled(uint64_t i) { return memset(allocate_plain(BUFFER), (int)(i & 255), BUFFER); }

static void share_of_cache(struct part *part) {
    uint64_t i = part->hi - part->lo, slot = part->lo;
    IN_UNITS(part, 1, {
        buffers[slot] = filled(i++);
        if (++slot == part->hi)
            slot = part->lo;
    });
}

static void cache(void) {
    slots = slots ? slots : 200000;
    buffers = allocate(slots * sizeof *buffers);
    for (uint64_t t = 0; t < threads; t++)
        for (uint64_t slot = t * slots / threads, i = 0; slot < (t + 1) * slots / threads; slot++)
            buffers[slot] = filled(i++);
    outcome.wall = on_threads(slots, share_of_cache);
    note_usage();
    outcome.ops = sum_of_parts();
    merge_latencies();
    for (uint64_t t = 0; t < threads; t++) {
        uint64_t size = parts[t].hi - parts[t].lo;
        for (uint64_t slot = 0; slot < size; slot++) {
            uint64_t last = slot + (size + parts[t].sum - 1 - slot) / size * size;
            for (int byte = 0; byte < BUFFER; byte++) {
                if (buffers[parts[t].lo + slot][byte] != (last & 255))
                    fail("slot %" PRIu64 " of a share holds a byte of another insert", slot);
                outcome.check += last & 255;
            }
        }
    }
}

/* A node of the graph of churn. Threads that race for an edge read one pointer or the other. */
struct vertex {
    int64_t id;
    struct vertex *out[4];
};

static struct vertex **graph;

static struct vertex *edge(struct vertex *const *from) { return __atomic_load_n(from, __ATOMIC_RELAXED); }

static void step(struct vertex **table, uint64_t size, uint64_t *x) {
    uint64_t i = next(x) % size, r = next(x);
    struct vertex *v = table[i];
    if ((r & 3) == 0) {
        struct vertex *new = allocate(sizeof *new);
        new->id = v->id;
        for (int k = 0; k < 4; k++)
            new->out[k] = edge(&v->out[k]);
        table[i] = new;
        return;
    }
    struct vertex *w = edge(&v->out[r >> 8 & 3]), *u;
    if ((r & 4) == 0)
        w = table[(r >> 16) % size];
    else if ((u = edge(&w->out[r >> 10 & 3])) != NULL)
        w = u;
    /* Whoever finds the new node by this edge finds it whole. */
    __atomic_store_n(&v->out[r >> 12 & 3], w, __ATOMIC_RELEASE);
}

static void share_of_churn(struct part *part) {
    uint64_t x = thread_seed(part->thread);
    IN_UNITS(part, 100, {
        for (int i = 0; i < 100; i++)
            step(graph + part->lo, part->hi - part->lo, &x);
    });
}

static void churn(void) {
    nodes = nodes ? nodes : 2000000;
    graph = allocate(nodes * sizeof *graph);
    for (uint64_t i = 0; i < nodes; i++) {
        graph[i] = allocate(sizeof **graph);
        graph[i]->id = (int64_t)i;
    }
    uint64_t x = UINT64_C(88172645463325252);
    for (uint64_t i = 0; i < nodes; i++)
        for (int k = 0; k < 4; k++)
            graph[i]->out[k] = graph[next(&x) % nodes];
    outcome.wall = on_threads(nodes, share_of_churn);
    note_usage();
    outcome.ops = sum_of_parts();
    merge_latencies();
    for (uint64_t i = 0; i < nodes; i++) {
        if (graph[i]->id != (int64_t)i)
            fail("node %" PRIu64 " has the id %" PRId64, i, graph[i]->id);
        uint64_t hash = i;
        for (int k = 0; k < 4; k++) {
            const struct vertex *target = graph[i]->out[k];
            if (target == NULL || target->id < 0 || (uint64_t)target->id >= nodes)
                fail("node %" PRIu64 " has a bad edge", i);
            hash = (hash ^ (uint64_t)target->id) * UINT64_C(0x9E3779B97F4A7C15);
            hash ^= hash >> 32;
        }
        outcome.check += threads == 1 && by_steps ? hash : i;
    }
}

static void print_latency(const char *key, double fraction) {
    if (outcome.latencies == NULL)
        printf("\"%s\":null,", key);
    else
        printf("\"%s\":%.3f,", key,
               fraction > 1 ? (double)outcome.latencies->maximum / 1e3 : quantile(outcome.latencies, fraction));
}

static void read_arguments(int words, char **word) {
    struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {{"--threads", &threads}, {"--steps", &steps}, {"--depth", &depth},         {"--n", &n},
                   {"--nodes", &nodes},     {"--slots", &slots}, {"--array", &array_elements}};
    for (int i = 2; i < words; i++) {
        if (strcmp(word[i], "--json") == 0)
            continue;
        if (i + 1 == words)
            fail("%s needs a value", word[i]);
        char *end = word[i + 1];
        bool known = strcmp(word[i], "--secs") == 0;
        if (known)
            secs = strtod(word[i + 1], &end);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if (strcmp(word[i], numbers[k].name) == 0) {
                *numbers[k].value = strtoull(word[i + 1], &end, 10);
                by_steps |= numbers[k].value == &steps;
                known = true;
            }
        if (!known || *end != 0 || end == word[i + 1])
            fail("these are no arguments: %s %s", word[i], word[i + 1]);
        i++;
    }
    if (threads == 0 || threads > MOST_THREADS)
        fail("not so many threads");
}

int main(int words, char **word) {
    struct {
        const char *name;
        void (*run)(void);
    } workloads[] = {{"trees", trees}, {"gcbench", gcbench}, {"alloc", alloc}, {"churn", churn}, {"cache", cache}};
    GC_INIT();
    if (words > 1 && strcmp(word[1], "--version") == 0) {
        unsigned version = GC_get_version();
        printf("%u.%u.%u\n", version >> 16, version >> 8 & 255, version & 255);
        return 0;
    }
    read_arguments(words, word);
    for (size_t k = 0; words > 1 && k < sizeof workloads / sizeof *workloads; k++)
        if (strcmp(word[1], workloads[k].name) == 0) {
            workloads[k].run();
            double wall = (double)outcome.wall / 1e9;
            printf("{\"w\":\"%s\",\"threads\":%" PRIu64 ",\"wall_s\":%.6f,\"cpu_s\":%.6f,\"ops\":%" PRIu64
                   ",\"ns_op\":%.3f,\"rss_mb\":%.1f,\"cycles\":%" PRIu64 ",",
                   word[1], threads, wall, outcome.cpu_seconds, outcome.ops, wall * 1e9 / (double)outcome.ops,
                   outcome.peak_megabytes, outcome.cycles);
            print_latency("p50", 0.5);
            print_latency("p99", 0.99);
            print_latency("p999", 0.999);
            print_latency("p9999", 0.9999);
            print_latency("max", 2);
            printf("\"wait_max_us\":null,\"check\":%" PRIu64 "}\n", outcome.check & ((UINT64_C(1) << 53) - 1));
            return 0;
        }
    fprintf(stderr, "there is no such workload for Boehm's collector\n");
    return EXIT_CANNOT_EXPRESS;
}
