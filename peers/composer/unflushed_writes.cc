// SPDX-License-Identifier: Apache-2.0
#include "peers/composer/unflushed_writes.h"

namespace atl {
namespace {

constexpr SourceIndex SourceOf(JournalChange change) { return static_cast<SourceIndex>(change); }

}  // namespace

void UnflushedWrites::Add(GrainRange range, JournalChange change) {
  if (too_many_) return;
  runs_.Set(range, SourceOf(change));
  if (change == JournalChange::kOwn) grains_ += range.count;
  // Data within a run of zeros makes two of it.
  if (change == JournalChange::kZero || zeros_ > 0) ++zeros_;
  const auto is_much = [this] {
    return grains_ > most_grains_ || zeros_ > kMaxLoggedZeros || runs_.run_count() > kMaxLoggedRuns;
  };
  if (!is_much()) return;
  Count();
  if (!is_much()) return;
  too_many_ = true;
  runs_.Clear();
}

void UnflushedWrites::Count() {
  grains_ = zeros_ = 0;
  GrainRun run;
  for (uint64_t at = 0; runs_.FirstAfter(at, &run); at = run.range.end()) {
    if (run.source == SourceOf(JournalChange::kOwn)) {
      grains_ += run.range.count;
    } else {
      ++zeros_;
    }
  }
}

std::vector<JournalEntry> UnflushedWrites::Take() {
  std::vector<JournalEntry> all;
  GrainRun run;
  for (uint64_t at = 0; runs_.FirstAfter(at, &run); at = run.range.end()) {
    all.push_back({run.range.first, run.range.count, static_cast<JournalChange>(run.source)});
  }
  Forget();
  return all;
}

void UnflushedWrites::Forget() {
  runs_.Clear();
  grains_ = zeros_ = 0;
  too_many_ = false;
}

}  // namespace atl
