// SPDX-License-Identifier: Apache-2.0
//
// Fails one system call of the file driver, which is found by its site and a count; and counts the
// calls of all sites. Syncs are answered here, since nothing loses power.
//
// Threads: any.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "peers/store/file/sys.h"

namespace atl {

struct FaultSite {
  std::string file;
  uint32_t line = 0;
  sys::Op op = sys::Op::kOpen;
  std::string ToString() const;
  friend auto operator<=>(const FaultSite&, const FaultSite&) = default;
};

enum class Fault : uint8_t {
  kIo,           // EIO, and the call is not made.
  kNoSpace,      // ENOSPC, and the call is not made.
  kInterrupted,  // EINTR, and the call is not made.
  kShort,        // The call reads, writes or copies the first half.
};
inline constexpr Fault kFaults[] = {Fault::kIo, Fault::kNoSpace, Fault::kInterrupted,
                                    Fault::kShort};
const char* NameOf(Fault fault);

struct FaultPlan {
  FaultSite site;
  uint64_t call = 0;  // From 1 on.
  Fault fault = Fault::kIo;
};

class FaultInjector final : public sys::Watcher {
 public:
  FaultInjector() = default;
  // `then`: fails as well, at its first call after the fault of `plan`.
  explicit FaultInjector(FaultPlan plan, std::optional<FaultPlan> then = std::nullopt)
      : plan_(std::move(plan)), then_(std::move(then)) {}

  // Calls of each site so far, and of them those that can be cut short. Not while calls are made.
  struct Count {
    uint64_t calls = 0;
    uint64_t long_calls = 0;
  };
  const std::map<FaultSite, Count>& counts() const { return counts_; }
  // The file system cannot do such calls at all.
  void Lack(std::set<sys::Op> ops) { lacking_ = std::move(ops); }
  bool fired() const;
  // There is a second fault that has not come yet.
  bool waits_for_second() const;

  std::optional<int64_t> Before(sys::Call& call) override;
  void After(const sys::Call&, int64_t) override {}

 private:
  static std::optional<int64_t> Answer(Fault fault, sys::Call* call);

  mutable std::mutex mutex_;
  std::optional<FaultPlan> plan_;
  std::optional<FaultPlan> then_;
  bool fired_ = false;
  std::set<sys::Op> lacking_;
  std::map<FaultSite, Count> counts_;
};

}  // namespace atl
