// A small pool: workers sleep between calls, and a forked child starts with a fresh pool.
#pragma once
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace {

constexpr int MOST_THREADS = 256;
constexpr auto PATIENCE = std::chrono::microseconds(200);  // awake between calls that follow closely

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
    const auto end = std::chrono::steady_clock::now() + PATIENCE;
    do {
        for (int i = 0; i < 64; i++, relax())
            if (done()) return true;
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

// The tasks of one thread, which the others help with once their own are done.
struct alignas(64) Share {
    std::atomic<long> next{0};
    long end = 0;
};

struct Pool {
    std::mutex busy, lock;
    std::condition_variable wake, done;
    const std::function<void(long)>* task = nullptr;
    Share shares[MOST_THREADS];
    std::atomic<long> generation{0};
    int workers = 0, wanted = 0;
    std::atomic<int> running{0};

    // Every thread begins with its own range, the same in each call: its cache still holds what it
    // wrote there the last time.
    void drain(int self) {
        for (int turn = 0; turn <= wanted; turn++) {
            Share& share = shares[(self + turn) % (wanted + 1)];
            for (long i; (i = share.next.fetch_add(1)) < share.end;) (*task)(i);
        }
    }

    void work(int index) {
        long seen = 0;
        for (;;) {
            spin([&] { return generation.load() != seen; });
            {
                std::unique_lock<std::mutex> guard(lock);
                wake.wait(guard, [&] { return generation.load() != seen; });
                seen = generation.load();
                if (index > wanted) continue;
            }
            drain(index);
            if (running.fetch_sub(1) == 1) {
                std::lock_guard<std::mutex> guard(lock);
                done.notify_one();
            }
        }
    }

    void run(long count, int threads, const std::function<void(long)>& body) {
        {
            std::lock_guard<std::mutex> guard(lock);
            while (workers < threads - 1) {
                const int index = ++workers;
                std::thread([this, index] { work(index); }).detach();
            }
            task = &body;
            for (int i = 0; i < threads; i++) {
                shares[i].next = count * i / threads;
                shares[i].end = count * (i + 1) / threads;
            }
            wanted = threads - 1;
            running = wanted;
            generation++;
        }
        wake.notify_all();
        drain(0);
        const auto ended = [&] { return running.load() == 0; };
        if (spin(ended)) return;
        std::unique_lock<std::mutex> guard(lock);
        done.wait(guard, ended);
    }
};

Pool* pool = nullptr;  // never deleted: its sleeping workers end with the process
std::once_flag pool_once;

// task(0) ... task(tasks - 1), each once, in any order on up to `threads` threads.
void parallel(long tasks, int threads, const std::function<void(long)>& task) {
    std::call_once(pool_once, [] {
        pool = new Pool;
        pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
    });
    if (threads > tasks) threads = (int)tasks;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads > 1 && pool->busy.try_lock()) {
        pool->run(tasks, threads, task);
        pool->busy.unlock();
        return;
    }
    for (long i = 0; i < tasks; i++) task(i);
}

}  // namespace
