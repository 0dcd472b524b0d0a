// Shares tasks out over XLA's own threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "xla/ffi/api/ffi.h"

namespace stn {

// Calls body(task) for every task and returns when all are done. The calling thread works too, so
// that nothing waits for a thread that a busy pool does not give.
inline void parallel_for(xla::ffi::ThreadPool pool, int64_t tasks,
                         const std::function<void(int64_t)>& body) {
  struct State {
    std::atomic<int64_t> next{0}, done{0};
    std::mutex mutex;
    std::condition_variable finished;
  };
  // A helper may start after all tasks are taken and this function has returned: it then touches
  // nothing but the state.
  auto state = std::make_shared<State>();
  const auto work = [state, tasks, &body] {
    for (int64_t task; (task = state->next++) < tasks;) {
      body(task);
      if (++state->done == tasks) {
        std::lock_guard lock(state->mutex);
        state->finished.notify_one();
      }
    }
  };
  const int64_t helpers = std::min(pool.num_threads(), tasks) - 1;
  for (int64_t k = 0; k < helpers; ++k) pool.Schedule(std::function<void()>(work));
  work();
  std::unique_lock lock(state->mutex);
  state->finished.wait(lock, [&] { return state->done == tasks; });
}

}  // namespace stn
