// Cuts a call into tasks and shares them out over threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "call.h"

namespace stn {

// Points x channels of a task: large against the microseconds that handing it over takes.
constexpr int64_t kTaskValues = 1 << 14;
// Tasks of a thread that splats: more even out their lengths, and each looks at all points.
constexpr int64_t kTasksPerThread = 4;

template <class F>
void split(Call<F>& call, int64_t threads) {
  if (call.map == Map::kSplat) {
    const int64_t wanted = kTasksPerThread * threads, values = call.count * call.channels;
    const bool is_small = call.batch * values < kTaskValues || threads == 1;
    const int64_t chunks = is_small ? 1 : (wanted + call.batch - 1) / call.batch;
    call.chunk = (call.shape[0] + chunks - 1) / std::min<int64_t>(chunks, call.shape[0]);
    call.chunks = (call.shape[0] + call.chunk - 1) / call.chunk;
  } else {
    const int64_t points = std::max<int64_t>(kTaskValues / call.channels, 1);
    call.chunk = std::min(points, call.count);
    call.chunks = (call.count + call.chunk - 1) / call.chunk;
  }
}

// Calls body(task) for every task and returns when all are done. A pool has num_threads() and
// Schedule(function). The calling thread works too, so that nothing waits for a thread that a busy
// pool does not give. Each worker takes a range of its own first, so that neighbouring tasks, which
// read the same image, meet in one cache; then it helps with the other ranges.
template <class Pool>
void parallel_for(Pool& pool, int64_t tasks, const std::function<void(int64_t)>& body) {
  struct alignas(64) Range {
    std::atomic<int64_t> next;
    int64_t end;
  };
  struct State {
    explicit State(int64_t workers) : ranges(workers) {}
    std::vector<Range> ranges;
    std::atomic<int64_t> done{0};
    std::mutex mutex;
    std::condition_variable finished;
  };
  const int64_t workers = std::min<int64_t>(pool.num_threads(), tasks);
  // A helper may start after all tasks are taken and this function has returned: it then touches
  // nothing but the state.
  auto state = std::make_shared<State>(workers);
  for (int64_t w = 0; w < workers; ++w) {
    state->ranges[w].next = tasks * w / workers;
    state->ranges[w].end = tasks * (w + 1) / workers;
  }
  const auto work = [state, tasks, workers, &body](int64_t worker) {
    for (int64_t k = 0; k < workers; ++k) {
      Range& range = state->ranges[(worker + k) % workers];
      for (int64_t task; (task = range.next++) < range.end;) {
        body(task);
        if (++state->done == tasks) {
          std::lock_guard lock(state->mutex);
          state->finished.notify_one();
        }
      }
    }
  };
  for (int64_t w = 1; w < workers; ++w) pool.Schedule([work, w] { work(w); });
  work(0);
  std::unique_lock lock(state->mutex);
  state->finished.wait(lock, [&] { return state->done == tasks; });
}

// Runs a call, whose row is set, on all threads of a pool.
template <class F, class Pool>
void run_call(const Functions<F>& functions, Call<F> call, Pool& pool) {
  // Without pixels there is nothing to read; stn_jax keeps such images from us.
  const bool is_splat = call.map == Map::kSplat;
  if (call.batch * call.channels * call.pixels() == 0 || (!is_splat && call.count == 0)) return;
  split(call, pool.num_threads());
  parallel_for(pool, call.batch * call.chunks, [&](int64_t task) { functions.run(call, task); });
}

}  // namespace stn
