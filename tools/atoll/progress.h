// SPDX-License-Identifier: Apache-2.0
//
// A bar on stderr, if that is a terminal: what is done, how fast, how long to go.
#pragma once

#include <cstdint>
#include <string>

namespace atl {

class Progress {
 public:
  Progress(std::string label, uint64_t total_bytes);
  // Takes the bar away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Draws at most ten times a second.
  void Advance(uint64_t bytes);

 private:
  void Draw(int64_t now_ns);

  const std::string label_;
  const uint64_t total_;
  const bool shown_;
  const int64_t started_ns_;
  int64_t drawn_ns_ = 0;
  uint64_t done_ = 0;
};

}  // namespace atl
