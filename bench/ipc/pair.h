// SPDX-License-Identifier: Apache-2.0
//
// Two processes that play ping-pong: `ask` here, `echo` in a child, both on the same CPU or each on
// one of its own.
//
//   Play(game, {Cpus::kTwo, Waits::kSpinning})
//
// Runs are short and many, so that on a machine that is busy otherwise some of them have their CPUs
// to themselves. Which ones had is told by the clocks: each of two that spin uses as much CPU time
// as passes on the wall, and so do two together that take turns on one CPU. Two that sleep on two
// CPUs leave both idle, so nothing can be told of them.
//
// Threads: one, of a program that has no other.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace atl::pingpong {

enum class Cpus : uint8_t { kOne, kTwo };
enum class Waits : uint8_t { kSpinning, kBlocked };

struct Manner {
  Cpus cpus;
  Waits waits;
};

// The body of `ask` runs so many times, the first one to warm up; `echo` answers all of them.
inline constexpr int kRuns = 32;

struct Game {
  // Prepares itself, says that it is ready, answers, and returns.
  std::function<void(const std::function<void()>& ready)> echo;
  // Prepares itself and hands its body over.
  std::function<void(const std::function<void(const std::function<void()>& body)>& play)> ask;
};

struct Run {
  int64_t ns = 0;
  bool undisturbed = true;
};

bool HasTwoCpus();
// All but the first.
std::vector<Run> Play(const Game& game, Manner manner);

}  // namespace atl::pingpong
