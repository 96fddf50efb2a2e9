// SPDX-License-Identifier: Apache-2.0
#include "xseg/base/page_cache_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>

namespace atl {
namespace {

// The number behind `name` and a space, at the beginning of a line.
std::optional<uint64_t> CounterOf(std::string_view text, std::string_view name) {
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    if (!line.starts_with(name) || !line.substr(name.size()).starts_with(' ')) continue;
    uint64_t count = 0;
    const char* end = line.data() + line.size();
    const auto [stop, error] = std::from_chars(line.data() + name.size() + 1, end, count);
    if (error != std::errc() || stop != end) return std::nullopt;
    return count;
  }
  return std::nullopt;
}

}  // namespace

PageCacheWatch::PageCacheWatch(const std::string& path)
    : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}

std::optional<uint64_t> PageCacheWatch::Count() const {
  // Some 5 KiB in Linux 6.18; what is not whole is not believed.
  std::array<char, 16 * 1024> text;
  size_t got = 0;
  while (fd_.valid() && got < text.size()) {
    const ssize_t more =
        pread(fd_.get(), text.data() + got, text.size() - got, static_cast<off_t>(got));
    if (more < 0) return std::nullopt;
    if (more == 0) break;
    got += static_cast<size_t>(more);
  }
  if (got == text.size()) return std::nullopt;
  const std::string_view all(text.data(), got);
  const auto taken = CounterOf(all, "pgsteal_file"), dropped = CounterOf(all, "drop_pagecache");
  if (!taken || !dropped) return std::nullopt;
  return *taken + *dropped;
}

bool PageCacheWatch::HasKept(int64_t since_ms, int64_t now_ms) {
  if (!asked_ || now_ms - asked_ms_ >= kAskMs) {
    const auto count = Count();
    if (!asked_ || count != given_up_) kept_since_ms_ = now_ms;
    given_up_ = count;
    asked_ms_ = now_ms;
    asked_ = true;
  }
  return given_up_.has_value() && since_ms > kept_since_ms_;
}

}  // namespace atl
