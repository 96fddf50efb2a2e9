// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/remote/translation_cache.h"

#include <algorithm>

namespace atl {

void AppendPiece(ByteRange range, MapPiece piece, MapPieces* out) {
  piece.range = piece.range.Intersect(range);
  if (piece.range.empty()) return;
  if (!out->empty() && out->back().kind == piece.kind && out->back().slot == piece.slot &&
      out->back().blob == piece.blob) {
    out->back().range.length += piece.range.length;
  } else {
    out->push_back(piece);
  }
}

void TranslationCache::SetOwn(StoreSlot slot, const BlobId& blob) {
  const Source own{slot, blob};
  if (own_index_ != kZeroSource && own == own_) return;
  own_ = own;
  own_index_ = IndexOf(own);
}

void TranslationCache::Clear() {
  known_.Clear();
  sources_.clear();
  if (own_index_ != kZeroSource) own_index_ = IndexOf(own_);
}

SourceIndex TranslationCache::IndexOf(const Source& source) {
  // The one that was used last is the likely one.
  const auto found = std::find(sources_.rbegin(), sources_.rend(), source);
  if (found != sources_.rend()) return static_cast<SourceIndex>(sources_.rend() - found);
  sources_.push_back(source);
  return static_cast<SourceIndex>(sources_.size());
}

bool TranslationCache::Find(ByteRange range, MapPieces* out) {
  const GrainRange grains = GrainsOf(range);
  found_.clear();
  known_.Find(grains, &found_);
  uint64_t at = grains.first;
  for (const GrainRun& run : found_) {
    if (run.range.first != at) return false;
    at = run.range.end();
  }
  if (at != grains.end()) return false;
  out->clear();
  for (const GrainRun& run : found_) {
    MapPiece piece{.range = {run.range.first * kSubGrain, run.range.count * kSubGrain}};
    if (run.source != kZeroSource) {
      const Source& source = sources_[run.source - 1u];
      piece.kind = run.source == own_index_ ? PieceKind::kOwn : PieceKind::kOther;
      piece.slot = source.slot;
      piece.blob = source.blob;
    }
    AppendPiece(range, piece, out);
  }
  return true;
}

void TranslationCache::Learn(const MapPiece& piece) {
  if (is_full()) Clear();
  const bool zero = piece.kind == PieceKind::kZero;
  known_.Set(GrainsOf(piece.range), zero ? kZeroSource : IndexOf({piece.slot, piece.blob}));
}

}  // namespace atl
