// Tasks on several threads: those of torch, or a small pool of our own whose workers sleep between
// calls. A forked child has a fresh pool, and not torch's threads: they stayed with its parent.
#pragma once
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace {

typedef std::chrono::steady_clock Clock;

constexpr int MOST_THREADS = 256;
constexpr auto PATIENCE = std::chrono::microseconds(200);  // awake between calls that follow closely
constexpr auto TRIAL = std::chrono::milliseconds(40);        // of calls after which a team is judged
constexpr auto AGAIN = std::chrono::seconds(1);              // until one that failed is tried anew

INLINE void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Whether `done()` came true while there was patience left.
template <class Done>
bool spin(const Done& done) {
    const auto end = Clock::now() + PATIENCE;
    do {
        for (int i = 0; i < 64; i++, relax())
            if (done()) return true;
    } while (Clock::now() < end);
    return false;
}

// The tasks of one thread, which the others help with once their own are done.
struct alignas(64) Share {
    std::atomic<long> next{0};
    long end = 0;
    Clock::time_point idle;  // on a team: when this thread had done the last one of any share
};

// The tasks of one call. Every thread begins with its own range, the same in each call: its cache still
// holds what it wrote there the last time.
struct Tasks {
    const std::function<void(long)>* task = nullptr;
    int threads = 0;
    Share shares[MOST_THREADS];

    void share_out(long count, int among, const std::function<void(long)>& body) {
        task = &body;
        threads = among;
        for (int i = 0; i < threads; i++) {
            shares[i].next = count * i / threads;
            shares[i].end = count * (i + 1) / threads;
        }
    }

    // Whether there was a task left.
    bool drain(int self) {
        bool any = false;
        for (int turn = 0; turn < threads; turn++) {
            Share& share = shares[(self + turn) % threads];
            for (long i; (i = share.next.fetch_add(1)) < share.end; any = true) (*task)(i);
        }
        return any;
    }
};

// Torch's threads, if they are those of GNU's OpenMP library or of one with its entry points. They stay
// awake for milliseconds after whatever torch did, and threads of a pool would compete with them.
struct Team {
    void (*parallel)(void (*)(void*), void*, unsigned threads, unsigned flags);  // GOMP_parallel
    int (*number)();                                                             // omp_get_thread_num
    Clock::duration used, lost;  // in calls, and in long waits after their tasks, since it was judged
    Clock::time_point avoided;   // until then
};
Team team = {};

// Where other processes want the same cores, a thread may wait for one that waits for its core. In a team
// it does so for longer than in a pool, which is used for a while if that cost a quarter of the time.
void run_on_team(Tasks& tasks) {
    const auto begin = Clock::now();
    for (int i = 0; i < tasks.threads; i++) tasks.shares[i].idle = begin;
    team.parallel(
        [](void* data) {
            Tasks& tasks = *(Tasks*)data;
            const int self = team.number();
            // All shares, even if the team is smaller than asked for.
            if (tasks.drain(self)) tasks.shares[self].idle = Clock::now();
        },
        &tasks, tasks.threads, 0);
    const auto end = Clock::now();
    auto idle = begin;
    for (int i = 0; i < tasks.threads; i++) idle = std::max(idle, tasks.shares[i].idle);
    team.used += end - begin;
    if (end - idle > PATIENCE) team.lost += end - idle;
    if (team.used < TRIAL) return;
    if (4 * team.lost > team.used) team.avoided = end + AGAIN;
    team.used = team.lost = {};
}

// Workers that come when a call is over find its door closed, and nobody waits for them.
struct Pool {
    static constexpr long OPEN = 1L << 16, CALL = OPEN << 1;  // below OPEN: how many workers came in

    std::mutex lock;
    std::condition_variable wake, done;
    Tasks* tasks = nullptr;
    std::atomic<int> wanted{0}, left{0};  // the last worker that is needed; how many have left
    std::atomic<long> door{0};
    int workers = 0;

    // Whether worker `index` takes part in a call after `seen`, which becomes that call.
    bool enter(int index, long& seen) {
        long there = door.load();
        while ((there & OPEN) && there / CALL != seen && index <= wanted.load()) {
            if (!door.compare_exchange_weak(there, there + 1)) continue;
            seen = there / CALL;
            return true;
        }
        return false;
    }

    void work(int index) {
        long seen = 0;
        const auto called = [&] { return enter(index, seen); };
        for (;;) {
            if (!spin(called)) {
                std::unique_lock<std::mutex> guard(lock);
                wake.wait(guard, called);
            }
            tasks->drain(index);
            left++;
            if (door.load() & OPEN) continue;
            std::lock_guard<std::mutex> guard(lock);
            done.notify_one();
        }
    }

    void run(Tasks& given) {
        {
            std::lock_guard<std::mutex> guard(lock);
            while (workers < given.threads - 1) {
                const int index = ++workers;
                std::thread([this, index] { work(index); }).detach();
            }
            tasks = &given;
            wanted = given.threads - 1;
            left = 0;
            door = (door.load() / CALL + 1) * CALL + OPEN;
        }
        wake.notify_all();
        tasks->drain(0);
        const int came = (int)(door.fetch_and(~OPEN) % OPEN);
        const auto ended = [&] { return left.load() == came; };
        if (spin(ended)) return;
        std::unique_lock<std::mutex> guard(lock);
        done.wait(guard, ended);
    }
};

// One call has all threads, others work alone meanwhile.
struct Threads {
    std::mutex busy;
    Tasks tasks;
    Pool pool;
};

Threads* all_threads = nullptr;  // never deleted: its sleeping workers end with the process
std::once_flag threads_once;

// task(0) ... task(tasks - 1), each once, in any order on up to `threads` threads.
void parallel(long tasks, int threads, const std::function<void(long)>& task) {
    std::call_once(threads_once, [] {
        all_threads = new Threads;
        pthread_atfork(nullptr, nullptr, [] { all_threads = new Threads, team = {}; });
    });
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads > 1 && tasks > 1 && all_threads->busy.try_lock()) {
        Threads& mine = *all_threads;
        const bool on_team = team.parallel && Clock::now() >= team.avoided;
        mine.tasks.share_out(tasks, on_team || threads < tasks ? threads : (int)tasks, task);
        if (on_team) run_on_team(mine.tasks);
        else mine.pool.run(mine.tasks);
        mine.busy.unlock();
        return;
    }
    for (long i = 0; i < tasks; i++) task(i);
}

}  // namespace
