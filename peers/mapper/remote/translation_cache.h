// SPDX-License-Identifier: Apache-2.0
//
// What a composer knows of a map that another process has: sub-grain -> source for as much of it as
// was asked for or written. Translations stay right until the composer itself changes them.
//
// It has a limit and forgets everything when it is reached.
//
// Threads: one.
#pragma once

#include <vector>

#include "peers/map/interval_map.h"
#include "peers/mapper/map_api.h"

namespace atl {

class TranslationCache {
 public:
  static constexpr size_t kMaxRuns = 256 * 1024;
  static constexpr size_t kMaxSources = 60'000;

  // From now on the current blob is this one; what was kOwn until now is kOther.
  void SetOwn(StoreSlot slot, const BlobId& blob);
  void Clear();

  // Fills `out` if all of `range` is known.
  bool Find(ByteRange range, MapPieces* out);
  // The range of `piece` is of whole sub-grains.
  void Learn(const MapPiece& piece);

 private:
  struct Source {
    StoreSlot slot = 0;
    BlobId blob;
    friend bool operator==(const Source&, const Source&) = default;
  };
  SourceIndex IndexOf(const Source& source);
  bool is_full() const { return known_.run_count() >= kMaxRuns || sources_.size() >= kMaxSources; }

  IntervalMap known_;
  std::vector<Source> sources_;  // Index 1 is the first; 0 are zeros.
  Source own_;
  SourceIndex own_index_ = kZeroSource;
  std::vector<GrainRun> found_;  // Scratch, kept so that a lookup allocates nothing.
};

// Appends `piece` as far as it lies in `range`, joined to the last one where that goes on.
void AppendPiece(ByteRange range, MapPiece piece, MapPieces* out);

}  // namespace atl
