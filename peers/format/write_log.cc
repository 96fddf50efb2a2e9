// SPDX-License-Identifier: Apache-2.0
#include "peers/format/write_log.h"

#include <fmt/format.h>

#include <algorithm>

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

bool IsPossibleLength(uint64_t length) {
  return length >= kWriteLogPage && length <= kMaxWriteLogRecord &&
         IsAligned(length, kWriteLogPage);
}

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
  const uint64_t length = ClaimedLength(bytes);
  if (!IsPossibleLength(length) || length > bytes.size()) {
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

uint64_t ClaimedLength(ConstSpan page) {
  return Decoder(page.subspan(kCheckedHeaderBytes)).Get<uint32_t>();
}

uint64_t ClaimedSequence(ConstSpan page, uint32_t opening) {
  if (page.size() < kWriteLogPage || AsText(page.first(kMagic.size())) != kMagic) return 0;
  Decoder in(page.subspan(kCheckedHeaderBytes));
  const auto length = in.Get<uint32_t>();
  in.Get<uint32_t>();  // How many runs.
  const auto sequence = in.Get<uint64_t>();
  in.Get<uint64_t>();  // What counts.
  const bool is_possible = IsPossibleLength(length) && in.Get<uint32_t>() == opening;
  return is_possible ? sequence : 0;
}

}  // namespace atl
