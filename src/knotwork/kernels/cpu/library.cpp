// The plain C entry points: they choose the instruction set and share the work among threads.
#include "cuts.hpp"

#include <atomic>
#include <cstdlib>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace knotwork {

#define KNOTWORK_DECLARE(SET)                      \
    namespace SET {                                \
    bool run_float(const Call&, const Share&);     \
    bool run_double(const Call&, const Share&);    \
    bool run_normal(const Normal&);                \
    bool run_moments(const Moments&, int threads); \
    }
KNOTWORK_DECLARE(plain)
#ifdef KNOTWORK_X86
KNOTWORK_DECLARE(avx2)
KNOTWORK_DECLARE(avx512)
#endif

namespace {

enum Set { PLAIN, AVX2, AVX512 };

typedef bool (*Run)(const Call&, const Share&);
// OpenMP's entry point as GCC calls it; LLVM's library has it too.
typedef void (*OpenMP)(void (*)(void*), void*, unsigned threads, unsigned flags);

OpenMP openmp = nullptr;

Run choose(int set, bool wide) {
#ifdef KNOTWORK_X86
    if (set == AVX512) return wide ? avx512::run_double : avx512::run_float;
    if (set == AVX2) return wide ? avx2::run_double : avx2::run_float;
#endif
    return wide ? plain::run_double : plain::run_float;
}

// Products below which a second thread costs more than it gains.
constexpr int64_t SMALL_WORK = 400'000;
// A kept workspace is not larger than this.
constexpr int64_t KEPT_BYTES = 16 << 20;

// From this size on malloc maps every array anew, and each of its pages costs more when it is first
// written to than the gradients on it.
constexpr int64_t MAPPED_BYTES = 32 << 20, HUGE_PAGE = 2 << 20;

// Asks for large pages under an array.
void use_huge_pages(void* array, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (!array || bytes < MAPPED_BYTES) return;
    const uintptr_t begin = (uintptr_t(array) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    const uintptr_t end = (uintptr_t(array) + uintptr_t(bytes)) / HUGE_PAGE * HUGE_PAGE;
    // Where there are none all goes on as it was.
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)array, (void)bytes;
#endif
}

struct Workspace {
    void* memory = nullptr;
    int64_t bytes = 0;
    ~Workspace() { std::free(memory); }
};

thread_local Workspace kept;

struct Tasks {
    void (*task)(void*, int);
    void* data;
    int count;
    std::atomic<int> next;
};

void work(void* data) {
    Tasks& tasks = *static_cast<Tasks*>(data);
    for (int index; (index = tasks.next++) < tasks.count;) tasks.task(tasks.data, index);
}

struct Shares {
    const Call& call;
    Run run;
    Cuts cuts;
    std::atomic<bool> failed;
};

void run_share(void* data, int index) {
    Shares& shares = *static_cast<Shares*>(data);
    if (!shares.run(shares.call, shares.cuts.share(index))) shares.failed = true;
}

}  // namespace

char* workspace(int64_t bytes) {
    if (bytes > kept.bytes || kept.bytes > KEPT_BYTES) {
        std::free(kept.memory);
        kept.memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
        kept.bytes = kept.memory ? bytes : 0;
    }
    return static_cast<char*>(kept.memory);
}

char* allocate(int64_t bytes) {
    return static_cast<char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
}

void release(char* memory) { std::free(memory); }

void parallel(int threads, int count, void (*task)(void*, int), void* data) {
    Tasks tasks{task, data, count, {0}};
    if (threads > 1 && count > 1 && openmp)
        openmp(work, &tasks, unsigned(std::min(threads, count)), 0);
    else
        work(&tasks);
}

}  // namespace knotwork

extern "C" {

// The best instruction set of this machine: 0 plain, 1 AVX2 with FMA, 2 AVX-512.
int knotwork_best_set() {
#ifdef KNOTWORK_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return knotwork::AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return knotwork::AVX2;
#endif
    return knotwork::PLAIN;
}

// Gives the library torch's OpenMP, so that there is one pool of threads and not two.
void knotwork_use_openmp(void* entry) {
    knotwork::openmp = reinterpret_cast<knotwork::OpenMP>(entry);
}

// One call in float64 (wide) or float32.  Returns 0, or 1 if memory ran out.
int knotwork_run(const knotwork::Call* call, int set, int wide) {
    using namespace knotwork;
    const int64_t products =
        call->rows * call->inputs * call->outputs * (call->order + 2) * (call->backward ? 2 : 1);
    use_huge_pages(call->grad_coefficients, call->inputs * (call->grid + call->order) *
                                                call->outputs * (wide ? 8 : 4));
    const int threads = products < SMALL_WORK ? 1 : call->threads;
    Shares shares{*call, choose(set, wide), cut(*call, threads), {false}};
    parallel(threads, int(shares.cuts.count()), run_share, &shares);
    return shares.failed;
}

// Adds to the matrix of the normal equations.  Returns 0, or 1 if memory ran out.
int knotwork_normal(const knotwork::Normal* call, int set) {
    using namespace knotwork;
#ifdef KNOTWORK_X86
    if (set == AVX512) return !avx512::run_normal(*call);
    if (set == AVX2) return !avx2::run_normal(*call);
#endif
    return !plain::run_normal(*call);
}

// Writes a symmetric matrix, given by its upper triangle, scaled and in another order of its rows
// and columns: `to` has `count` of them, `from` has `size`.
void knotwork_reorder(const double* from, int64_t size, const int64_t* place, int64_t count,
                      double scale, double* to) {
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = i; j < count; j++) {
            const int64_t a = place[i], b = place[j];
            const double value = scale * from[a < b ? a * size + b : b * size + a];
            to[i * count + j] = to[j * count + i] = value;
        }
}

// Writes the moments of every input's features.  Returns 0, or 1 if memory ran out.
int knotwork_moments(const knotwork::Moments* call, int set) {
    using namespace knotwork;
    const int64_t local = call->order + 2;
    const int threads = call->rows * call->inputs * local * local < SMALL_WORK ? 1 : call->threads;
#ifdef KNOTWORK_X86
    if (set == AVX512) return !avx512::run_moments(*call, threads);
    if (set == AVX2) return !avx2::run_moments(*call, threads);
#endif
    return !plain::run_moments(*call, threads);
}
}
