// SPDX-License-Identifier: Apache-2.0
//
// `Task<T>`: a lazy coroutine that yields one T to the one coroutine that awaits it.
//
//   Task<Status> Copy(Device& from, Device& to) {
//     CO_ASSIGN_OR_RETURN(Bytes bytes, co_await from.ReadAll());
//     co_return co_await to.WriteAll(bytes);
//   }
//
// It starts when it is awaited, runs at once and on the awaiting thread, and if it ends without
// suspending the awaiting coroutine simply goes on: a hop between two peers of one process costs a
// function call. If it suspended, its end posts the awaiting coroutine to the scheduler. Frames
// come from a pool of the thread. Tasks do not throw: an escaping exception ends the process.
//
// `Spawn(task)` runs a Task<void> on its own. Whoever spawns sees to it that what the task uses
// outlives it; a Gate (sync.h) is the usual way.
//
// A Task that is destroyed before it has ended destroys its frame, which is right only if nothing
// holds a handle into it; in practice that is a task that was never awaited.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

#include "xseg/base/check.h"
#include "xseg/base/scheduler.h"

namespace atl {

namespace internal {

void* AllocateFrame(size_t size);
void FreeFrame(void* frame, size_t size);

class PromiseBase {
 public:
  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* frame, size_t size) { FreeFrame(frame, size); }

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <typename P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
      const auto continuation = handle.promise().continuation_;
      if (continuation) Scheduler::Current().Post(continuation);
    }
    void await_resume() noexcept {}
  };
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }

  // Set only once the task has suspended; until then its end is seen by whoever resumed it.
  std::coroutine_handle<> continuation_;
};

template <typename T>
class Promise : public PromiseBase {
 public:
  auto get_return_object() { return std::coroutine_handle<Promise>::from_promise(*this); }
  template <typename U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T TakeValue() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> : public PromiseBase {
 public:
  auto get_return_object() { return std::coroutine_handle<Promise>::from_promise(*this); }
  void return_void() {}
  void TakeValue() {}
};

}  // namespace internal

template <typename T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task(Handle handle) : handle_(handle) {}  // NOLINT: the compiler makes it of the promise.
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    handle_.resume();
    if (handle_.done()) return false;
    handle_.promise().continuation_ = awaiting;
    return true;
  }
  T await_resume() { return handle_.promise().TakeValue(); }

 private:
  Handle handle_;
};

namespace internal {
struct Detached {
  struct promise_type {
    static void* operator new(size_t size) { return AllocateFrame(size); }
    static void operator delete(void* frame, size_t size) { FreeFrame(frame, size); }
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};
inline Detached RunDetached(Task<void> task) { co_await task; }
}  // namespace internal

// Starts `task` now and lets it run to its end.
inline void Spawn(Task<void> task) { internal::RunDetached(std::move(task)); }

// Lets everything else that is ready run first.
struct Yield {
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) { Scheduler::Current().Post(handle); }
  void await_resume() noexcept {}
};

}  // namespace atl
