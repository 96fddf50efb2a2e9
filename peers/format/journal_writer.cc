// SPDX-License-Identifier: Apache-2.0
#include "peers/format/journal_batch.h"

namespace atl {

JournalWriter::JournalWriter(const LogId& log, const CacheIdentity& cache)
    : cache_(cache), seed_(ChainSeed(log)), chain_(seed_) {}

Bytes JournalWriter::Make(uint8_t kind, uint64_t covered,
                          std::span<const JournalEntry> entries) const {
  const BatchHeader header{.kind = static_cast<BatchKind>(kind),
                           .position = position_,
                           .previous = chain_,
                           .cache = cache_,
                           .covered = covered,
                           .synced = synced_};
  return EncodeBatch(seed_, header, entries);
}

Bytes JournalWriter::MakeEntries(std::span<const JournalEntry> entries) const {
  return Make(static_cast<uint8_t>(BatchKind::kEntries), 0, entries);
}

Bytes JournalWriter::MakeBarrier(uint64_t covered) const {
  return Make(static_cast<uint8_t>(BatchKind::kBarrier), covered, {});
}

void JournalWriter::Advance(ConstSpan appended) {
  const auto batch = DecodeBatch(seed_, appended, position_);
  CHECK(batch.ok()) << batch.status().ToString();
  CHECK(batch->size() == appended.size() && batch->header.previous == chain_)
      << "what was appended at " << position_ << " is not the next batch";
  chain_ = batch->checksum;
  position_ += appended.size();
}

void JournalWriter::NoteSynced(uint64_t position) {
  CHECK(position <= position_) << position << " of " << position_;
  synced_ = std::max(synced_, position);
}

}  // namespace atl
