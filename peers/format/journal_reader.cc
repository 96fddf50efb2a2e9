// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "peers/format/journal_batch.h"

namespace atl {
namespace {

// Reads a chain, batch after batch, from the start of a journal.
//
// The next batch is one that is well-formed under the journal's name, stands where it says, carries
// the checksum of the one before and was written in the same life of the cache. The last because a
// journal has one writer that begins it and never continues another's: what was appended behind
// batches of another life could otherwise bring them back with its next barrier.
class ChainReader {
 public:
  ChainReader(const LogId& log, ConstSpan bytes)
      : bytes_(bytes), seed_(ChainSeed(log)), chain_(seed_) {}

  uint64_t position() const { return position_; }

  Result<Batch> Next() {
    ASSIGN_OR_RETURN(const Batch batch, DecodeBatch(seed_, bytes_.subspan(position_), position_));
    RETURN_IF_ERROR(Follows(batch.header));
    position_ += batch.size();
    chain_ = batch.checksum;
    ends_.push_back(position_);
    return batch;
  }

 private:
  Status Follows(const BatchHeader& header) {
    if (header.previous != chain_)
      return {Code::kCorrupt, "a batch does not follow the one before"};
    if (position_ == 0) life_ = header.cache;
    if (header.cache.boot != life_.boot || header.cache.mount != life_.mount) {
      return {Code::kCorrupt, "a batch was written in another life of the cache"};
    }
    // Writers note the end of completed appends, so a barrier covers whole batches.
    if (header.covered != 0 && !std::binary_search(ends_.begin(), ends_.end(), header.covered)) {
      return {Code::kCorrupt, fmt::format("a barrier covers {}, within a batch", header.covered)};
    }
    return {};
  }

  ConstSpan bytes_;
  uint64_t position_ = 0;
  uint32_t seed_;
  uint32_t chain_;
  CacheIdentity life_;
  std::vector<uint64_t> ends_;  // Of the batches read: at most one for each 64 bytes.
};

// A batch that was read and may not count: where it ends and what counts if it does.
struct Candidate {
  uint64_t end = 0;
  size_t entries = 0;  // Of this batch and all before it.
  bool proven = false;
};

// Whether the bytes at `hole`, which are not the next batch, once were durable: some batch of this
// journal behind them was made when the journal had been synced further than that. Power loss takes
// only what was not synced, in any order of pages, so then the medium lost it.
bool WasSynced(const LogId& log, ConstSpan bytes, uint64_t hole) {
  const uint32_t seed = ChainSeed(log);
  // Bytes made to look like batches shall not cost more than this much of checksums.
  uint64_t budget = 4 * kJournalCapacity;
  for (uint64_t at = hole + kJournalEntryBytes; at + kJournalBatchHeader <= bytes.size();
       at += kJournalEntryBytes) {
    const ConstSpan rest = bytes.subspan(at);
    Decoder in(rest);
    if (in.Get<uint32_t>() != kBatchMagic) continue;
    in.Get<uint64_t>();
    const uint64_t payload = in.Get<uint32_t>();
    const uint64_t cost = kJournalBatchHeader + std::min<uint64_t>(payload, rest.size());
    if (budget < cost) return false;
    budget -= cost;
    const auto batch = DecodeBatch(seed, rest, at);
    if (batch.ok() && batch->header.synced > hole) return true;
  }
  return false;
}

}  // namespace

Result<JournalContent> ReadPinnedJournal(const LogId& log, ConstSpan bytes, uint64_t length) {
  if (bytes.size() < length) {
    return Status(Code::kCorrupt, fmt::format("{}: it has {} bytes and must have {}",
                                              log.ToString(), bytes.size(), length));
  }
  ChainReader reader(log, bytes.first(length));
  JournalContent content;
  while (reader.position() < length) {
    const uint64_t position = reader.position();
    const auto batch = reader.Next();
    if (!batch.ok()) {
      return batch.status().With(fmt::format("{}, at {}", log.ToString(), position));
    }
    AppendEntries(*batch, &content.entries);
    content.barrier_covered = std::max(content.barrier_covered, batch->header.covered);
    ++content.batches;
  }
  content.length = content.valid_length = length;
  return content;
}

// What may be believed after an unclean end:
//
//   - Processes died, the cache lived on: all that was appended is there, data and batches, up to a
//     torn last append. `cache` proves it, or the store is durable at acknowledgement: every
//     batch of the chain counts.
//   - The cache was lost: of what was not synced, any pages of journal and data may be missing or
//     old. A batch proves only itself, not the data that it speaks of. But a barrier naming P was
//     made after a sync of that data had completed, so if the chain is unbroken up to the barrier,
//     the batches before P are as they were written and so is their data. Those between P and the
//     barrier were completed while that sync ran: their data may be missing.
//
// A barrier beyond a hole in the chain is not believed: what it covers is not there to be counted.
// It need not be damage, as its page may have reached the medium before an older one did while the
// journal was being synced.
JournalContent RecoverJournal(const LogId& log, ConstSpan bytes, const CacheIdentity& cache,
                              bool durable_at_ack) {
  bytes = bytes.first(std::min<size_t>(bytes.size(), kJournalCapacity));
  ChainReader reader(log, bytes);
  JournalContent content;
  std::vector<Candidate> candidates;
  while (reader.position() < bytes.size()) {
    const auto batch = reader.Next();
    if (!batch.ok()) {
      content.stopped = batch.status();
      break;
    }
    AppendEntries(*batch, &content.entries);
    // Flushes may finish in another order than they began in: the furthest promise holds.
    content.barrier_covered = std::max(content.barrier_covered, batch->header.covered);
    candidates.push_back({reader.position(), content.entries.size(),
                          durable_at_ack || cache.Proves(batch->header.cache)});
  }
  content.valid_length = reader.position();
  size_t entries = 0;
  for (const Candidate& candidate : candidates) {
    if (candidate.end > content.barrier_covered && !candidate.proven) break;
    content.length = candidate.end;
    entries = candidate.entries;
    ++content.batches;
  }
  content.entries.resize(entries);
  if (content.stopped.code() == Code::kCorrupt && WasSynced(log, bytes, content.valid_length)) {
    content.damaged = true;
  }
  content.stopped =
      content.stopped.With(fmt::format("{}, at {}", log.ToString(), content.valid_length));
  return content;
}

}  // namespace atl
