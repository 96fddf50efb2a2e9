// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/progress.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tools/atoll/size.h"
#include "xseg/base/units.h"

namespace atl {
namespace {

constexpr size_t kBarWidth = 30;

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

}  // namespace

Progress::Progress(std::string label, uint64_t total_bytes)
    : label_(std::move(label)),
      total_(std::max<uint64_t>(total_bytes, 1)),
      shown_(isatty(STDERR_FILENO) == 1),
      started_ns_(NowNs()) {}

Progress::~Progress() {
  if (shown_ && drawn_ns_ != 0) fmt::print(stderr, "\r\x1b[K");
}

void Progress::Advance(uint64_t bytes) {
  done_ += bytes;
  if (!shown_) return;
  const int64_t now_ns = NowNs();
  if (now_ns - drawn_ns_ >= 100 * kMillisecond || done_ >= total_) Draw(now_ns);
}

void Progress::Draw(int64_t now_ns) {
  drawn_ns_ = now_ns;
  const double part = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  const double seconds = std::max(0.001, static_cast<double>(now_ns - started_ns_) / kSecond);
  const double rate = static_cast<double>(done_) / seconds;
  const double left = rate > 0 ? static_cast<double>(total_ - std::min(done_, total_)) / rate : 0;
  const auto full = static_cast<size_t>(part * kBarWidth);
  fmt::print(stderr, "\r{} [{}{}] {:3.0f}%  {}/s  {} left\x1b[K", label_, std::string(full, '#'),
             std::string(kBarWidth - full, '.'), part * 100, HumanSize(static_cast<uint64_t>(rate)),
             HumanUptime(static_cast<int64_t>(left * kSecond)));
  std::fflush(stderr);
}

}  // namespace atl
