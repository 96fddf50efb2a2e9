// SPDX-License-Identifier: Apache-2.0
#include "peers/format/write_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "peers/format/checked.h"
#include "peers/format/journal_batch.h"
#include "xseg/base/crc32c.h"

namespace atl {
namespace {

constexpr std::string_view kMagic = "ATWL";
constexpr uint8_t kSeedKind = 3;  // 1 and 2 are those of journals and nodes.
constexpr size_t kFixedBytes = 80;
static_assert(kFixedBytes + kMaxLoggedRuns * kJournalEntryBytes <= kWriteLogPage);

Status Bad(std::string message) { return {Code::kCorrupt, std::move(message)}; }

Status CheckRecord(const WriteLogRecord& record) {
  if (record.sequence == 0 || record.live_from == 0 || record.live_from > record.sequence) {
    return Bad(fmt::format("record {} counts from {} on", record.sequence, record.live_from));
  }
  if (record.opening == 0) return Bad("a record is of no opening");
  if (record.runs.size() > kMaxLoggedRuns || LoggedGrains(record.runs) > kMaxLoggedGrains) {
    return Bad(fmt::format("record {} has {} runs of {} sub-grains", record.sequence,
                           record.runs.size(), LoggedGrains(record.runs)));
  }
  const auto is_zero = [](const JournalEntry& run) { return run.change == JournalChange::kZero; };
  if (static_cast<size_t>(std::ranges::count_if(record.runs, is_zero)) > kMaxLoggedZeros) {
    return Bad(fmt::format("record {} has too many runs of zeros", record.sequence));
  }
  return {};
}

// A half as far as it is a chain.
struct Chain {
  std::vector<LoggedWrites> records;
  uint64_t end = 0;

  bool empty() const { return records.empty(); }
  uint64_t first() const { return records.front().record.sequence; }
  uint64_t last() const { return records.back().record.sequence; }
};

bool Follows(const LoggedWrites& next, const LoggedWrites& before) {
  return next.record.sequence == before.record.sequence + 1 &&
         next.record.previous == before.checksum;
}

Result<Chain> ReadChain(const BlobId& log, uint32_t opening, ConstSpan half) {
  Chain chain;
  while (chain.end < half.size()) {
    auto next = DecodeWriteLogRecord(log, half.subspan(chain.end));
    if (next.code() == Code::kUnsupported) return next.status();
    if (!next.ok() || next->record.opening != opening) break;
    if (!chain.empty() && !Follows(*next, chain.records.back())) break;
    chain.end += next->size();
    chain.records.push_back(*std::move(next));
  }
  return chain;
}

// Whether behind the end of a chain there is a record that was made after the next one: that one
// was durable then, and the medium has lost it.
bool WasDurable(const BlobId& log, uint32_t opening, ConstSpan half, uint64_t from, uint64_t last) {
  for (uint64_t at = from; at + kWriteLogPage <= half.size(); at += kWriteLogPage) {
    if (AsText(half.subspan(at, kMagic.size())) != kMagic) continue;
    const auto found = DecodeWriteLogRecord(log, half.subspan(at));
    if (found.ok() && found->record.opening == opening && found->record.sequence > last) {
      return true;
    }
  }
  return false;
}

}  // namespace

uint32_t WriteLogSeed(const BlobId& log) {
  Encoder name;
  name.Put(kSeedKind);
  name.Put(log.owner);
  name.Put(log.epoch);
  name.Put(log.instance);
  return Crc32c(name.view());
}

uint64_t LoggedGrains(std::span<const JournalEntry> runs) {
  uint64_t grains = 0;
  for (const JournalEntry& run : runs) {
    if (run.change == JournalChange::kOwn) grains += std::min(run.count, kMaxLoggedGrains + 1);
  }
  return grains;
}

uint32_t SealWriteLogRecord(const BlobId& log, const WriteLogRecord& record, MutSpan bytes) {
  const Status possible = CheckRecord(record);
  CHECK(possible.ok()) << possible.ToString();
  CHECK(bytes.size() == WriteLogRecordBytes(LoggedGrains(record.runs)));
  Encoder out;
  BeginChecked(&out, kMagic, {});
  out.Put(static_cast<uint32_t>(bytes.size()));
  out.Put(static_cast<uint32_t>(record.runs.size()));
  out.Put(record.sequence);
  out.Put(record.live_from);
  out.Put(record.opening);
  out.Put(record.previous);
  const bool trusted = record.cache.trusted;
  out.Put(trusted ? record.cache.boot : Uuid{});
  out.Put(trusted ? record.cache.mount : uint64_t{0});
  CHECK(out.size() == kFixedBytes);
  for (const JournalEntry& run : record.runs) PutEntry(&out, run);
  out.Zeros(kWriteLogPage - out.size());
  std::ranges::copy(out.view(), bytes.begin());
  return SealChecked(bytes, WriteLogSeed(log));
}

Result<LoggedWrites> DecodeWriteLogRecord(const BlobId& log, ConstSpan bytes) {
  if (bytes.size() < kWriteLogPage || AsText(bytes.first(kMagic.size())) != kMagic) {
    return Bad("there is no record");
  }
  const auto length = Decoder(bytes.subspan(kCheckedHeaderBytes)).Get<uint32_t>();
  if (length < kWriteLogPage || length > kMaxWriteLogRecord || length > bytes.size() ||
      !IsAligned(length, kWriteLogPage)) {
    return Bad(fmt::format("a record cannot have {} bytes here", length));
  }
  ASSIGN_OR_RETURN(CheckedBody body, OpenChecked(bytes.first(length), kMagic, WriteLogSeed(log)));
  Decoder& in = body.in;
  LoggedWrites found{.data = bytes.subspan(kWriteLogPage, length - kWriteLogPage),
                     .checksum = body.checksum};
  WriteLogRecord& record = found.record;
  in.Get<uint32_t>();  // The length.
  const auto runs = in.Get<uint32_t>();
  record.sequence = in.Get<uint64_t>();
  record.live_from = in.Get<uint64_t>();
  record.opening = in.Get<uint32_t>();
  record.previous = in.Get<uint32_t>();
  record.cache.boot = in.GetUuid();
  record.cache.mount = in.Get<uint64_t>();
  record.cache.trusted = !record.cache.boot.is_zero();
  if (runs > kMaxLoggedRuns) return Bad(fmt::format("a record cannot have {} runs", runs));
  for (uint32_t i = 0; i < runs; ++i) {
    record.runs.push_back(GetEntry(&in));
    if (!IsPossible(record.runs.back())) return Bad("a run of a record is impossible");
  }
  RETURN_IF_ERROR(CheckRecord(record));
  if (length != WriteLogRecordBytes(LoggedGrains(record.runs))) {
    return Bad(fmt::format("record {} has the data of other runs", record.sequence));
  }
  if (!IsAllZero(in.Raw(in.remaining() - found.data.size()))) {
    return Bad(fmt::format("record {} has bytes set that must be zero", record.sequence));
  }
  return found;
}

Result<std::vector<LoggedWrites>> ReadWriteLog(const BlobId& log, uint32_t opening,
                                               std::span<const ConstSpan, 2> halves) {
  std::array<Chain, 2> chains;
  uint64_t last = 0;
  for (size_t i = 0; i < 2; ++i) {
    ASSIGN_OR_RETURN(chains[i], ReadChain(log, opening, halves[i]));
    if (!chains[i].empty()) last = std::max(last, chains[i].last());
  }
  const std::string name = "write log of " + log.ToString();
  for (size_t i = 0; i < 2; ++i) {
    if (!WasDurable(log, opening, halves[i], chains[i].end, last)) continue;
    return Bad(fmt::format("{}: record {} has been lost", name, last + 1));
  }
  std::vector<LoggedWrites> live;
  if (last == 0) return live;
  const bool second_is_newer =
      !chains[1].empty() && (chains[0].empty() || chains[1].first() > chains[0].first());
  const Chain& newer = chains[second_is_newer ? 1 : 0];
  const Chain& older = chains[second_is_newer ? 0 : 1];
  const uint64_t live_from = newer.records.back().record.live_from;
  uint64_t next = newer.first();
  if (live_from < next && !older.empty() && Follows(newer.records.front(), older.records.back())) {
    next = older.first();
    live.insert(live.end(), older.records.begin(), older.records.end());
  }
  if (live_from < next) {
    return Bad(fmt::format("{}: records {} to {} have been lost", name, live_from, next - 1));
  }
  live.insert(live.end(), newer.records.begin(), newer.records.end());
  std::erase_if(live, [live_from](const LoggedWrites& writes) {
    return writes.record.sequence < live_from || writes.record.runs.empty();
  });
  return live;
}

}  // namespace atl
