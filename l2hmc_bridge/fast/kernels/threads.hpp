// A small pool: workers sleep between calls, and a forked child starts with a fresh pool.
#pragma once
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace {

struct Pool {
    std::mutex busy, lock;
    std::condition_variable wake, done;
    const std::function<void(long)>* task = nullptr;
    long tasks = 0;
    std::atomic<long> next{0}, generation{0};
    int workers = 0, wanted = 0;
    std::atomic<int> running{0};

    void drain() {
        for (long i; (i = next.fetch_add(1)) < tasks;) (*task)(i);
    }

    void work(int index) {
        long seen = 0;
        for (;;) {
            for (int spin = 0; spin < 2000 && generation.load() == seen; spin++)
                std::atomic_signal_fence(std::memory_order_seq_cst);
            {
                std::unique_lock<std::mutex> guard(lock);
                wake.wait(guard, [&] { return generation.load() != seen; });
                seen = generation.load();
                if (index >= wanted) continue;
            }
            drain();
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
                const int index = workers++;
                std::thread([this, index] { work(index); }).detach();
            }
            task = &body;
            tasks = count;
            wanted = threads - 1;
            running = wanted;
            next = 0;
            generation++;
        }
        wake.notify_all();
        drain();
        for (int spin = 0; spin < 20000 && running.load() != 0; spin++)
            std::atomic_signal_fence(std::memory_order_seq_cst);
        std::unique_lock<std::mutex> guard(lock);
        done.wait(guard, [&] { return running.load() == 0; });
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
    if (threads > 1 && pool->busy.try_lock()) {
        pool->run(tasks, threads, task);
        pool->busy.unlock();
        return;
    }
    for (long i = 0; i < tasks; i++) task(i);
}

}  // namespace
