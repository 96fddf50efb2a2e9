// SPDX-License-Identifier: Apache-2.0
//
// Requests that end within the call, because all that they need is in memory and nobody is in their
// way: most of those of a busy volume. Nothing is suspended, so nothing has to be held. Whatever is
// out of the ordinary is left to the call that may wait.
#include <cstring>

#include "peers/composer/composer.h"

namespace atl {

bool Composer::PassesAtOnce(ByteRange range, RangeMode mode) const {
  const uint64_t size = map_->geometry().size;
  if (range.offset > size || range.length > size - range.offset) return false;
  return !closed_ && !line_.is_locked() && !gate_.closed() && ranges_.IsFree(range, mode);
}

// What Read does, in the order in which Read does it. That the right to act is asked for only once
// is because nothing is changed.
bool Composer::TryRead(uint64_t offset, MutSpan out) {
  const ByteRange range{offset, out.size()};
  if (out.empty() || !PassesAtOnce(range, RangeMode::kShared)) return false;
  const int64_t began_ns = env_->StampNs();
  if (!map_->TryTranslate(range, &pieces_)) return false;
  for (const MapPiece& piece : pieces_) {
    const MutSpan part = out.subspan(piece.range.offset - offset, piece.range.length);
    if (piece.kind == PieceKind::kZero) {
      std::memset(part.data(), 0, part.size());
    } else if (!stores_->at(piece.slot).TryRead(piece.blob, piece.range.offset, part)) {
      return false;
    }
  }
  if (!StillOurs().ok()) return false;
  CountRead(out.size(), env_->StampNs() - began_ns);
  return true;
}

ConstSpan Composer::TryView(uint64_t offset, size_t length) {
  const ByteRange range{offset, length};
  if (length == 0 || !PassesAtOnce(range, RangeMode::kShared)) return {};
  const int64_t began_ns = env_->StampNs();
  if (!map_->TryTranslate(range, &pieces_) || pieces_.size() != 1) return {};
  const MapPiece& piece = pieces_[0];
  if (piece.kind == PieceKind::kZero) return {};
  const ConstSpan view = stores_->at(piece.slot).TryView(piece.blob, offset, length);
  if (view.empty() || !StillOurs().ok()) return {};
  CountRead(length, env_->StampNs() - began_ns);
  return view;
}

void Composer::CountRead(size_t bytes, int64_t took_ns) {
  hops_.of(Hop::kRead).Record(took_ns);
  read_bytes_ += bytes;
}

bool Composer::IsWritable() const {
  const MapGeometry& geometry = map_->geometry();
  return failed_.ok() && geometry.writable && geometry.read_only_reason.empty();
}

// What Write does with whole sub-grains up to the commit, which is the caller's. A refusal behind
// the store's answer lets it write them once more.
bool Composer::TryFirstWrite(uint64_t offset, ConstSpan data) {
  const ByteRange range{offset, data.size()};
  if (range != range.RoundIn(kSubGrain) || !IsWritable()) return false;
  if (!map_->TryTranslate(range, &pieces_)) return false;
  if (pieces_.size() == 1 && pieces_[0].kind == PieceKind::kOwn) return false;
  const MapGeometry& geometry = map_->geometry();
  return stores_->at(geometry.slot).TryWrite(geometry.own, offset, data);
}

// An overwrite of the current blob, in the order in which Write does it. A refusal behind the
// store's answer lets Write find the same.
bool Composer::TryWrite(uint64_t offset, ConstSpan data, DeviceWriteOptions options) {
  const ByteRange range{offset, data.size()};
  if (data.empty() || options.fua || !PassesAtOnce(range, RangeMode::kExclusive)) return false;
  if (!IsWritable()) return false;
  if (options.detect_zeroes) {
    const WriteRuns runs = FindZeroRuns(offset, data);
    if (runs.size() > 1 || runs[0].zero) return false;
  }
  const int64_t began_ns = env_->StampNs();
  if (!map_->TryTranslate(range, &pieces_)) return false;
  if (pieces_.size() != 1 || pieces_[0].kind != PieceKind::kOwn) return false;
  if (!right_().ok()) return false;
  const MapGeometry& geometry = map_->geometry();
  if (!stores_->at(geometry.slot).TryWrite(geometry.own, offset, data)) return false;
  NoteUnflushed(range);
  if (!right_().ok()) return false;
  hops_.of(Hop::kWrite).Record(env_->StampNs() - began_ns);
  write_bytes_ += data.size();
  return true;
}

}  // namespace atl
