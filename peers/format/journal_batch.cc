// SPDX-License-Identifier: Apache-2.0
#include "peers/format/journal_batch.h"

#include <fmt/format.h>

#include "xseg/base/crc32c.h"
#include "xseg/base/units.h"

namespace atl {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kChecksumAt = 4;
constexpr size_t kMaxPayload = kMaxBatchEntries * kJournalEntryBytes;
constexpr int kChangeShift = 56;
constexpr uint64_t kMaxGrains = kMaxVolumeSize / kSubGrain;

static_assert(kJournalCapacity / kJournalEntryBytes <= UINT32_MAX);

Status Bad(std::string message) { return {Code::kCorrupt, std::move(message)}; }

uint32_t ChecksumOf(uint32_t seed, ConstSpan batch) {
  constexpr std::byte kZeros[4] = {};
  const uint32_t crc = Crc32c(kZeros, Crc32c(batch.first(kChecksumAt), seed));
  return Crc32c(batch.subspan(kChecksumAt + 4), crc);
}

// Everything that needs no checksum, so that looking at bytes that are no batch costs little.
Status CheckFields(const BatchHeader& header, size_t payload, uint64_t position) {
  if (header.position != position) {
    return Bad(fmt::format("a batch of position {} stands at {}", header.position, position));
  }
  const bool is_barrier = header.kind == BatchKind::kBarrier;
  if (header.kind != BatchKind::kEntries && !is_barrier) {
    return Bad(fmt::format("batch kind {} is unknown", static_cast<int>(header.kind)));
  }
  const bool sized =
      is_barrier ? payload == 0
                 : payload != 0 && payload <= kMaxPayload && payload % kJournalEntryBytes == 0;
  if (!sized) return Bad(fmt::format("a batch cannot have {} bytes of entries", payload));
  if (position > kJournalCapacity - kJournalBatchHeader - payload) {
    return Bad("a batch goes on behind the capacity of a journal");
  }
  if (header.covered > (is_barrier ? position : 0)) {
    return Bad(fmt::format("a batch at {} covers {}", position, header.covered));
  }
  if (header.synced > position) {
    return Bad(fmt::format("a batch at {} knows {} to be synced", position, header.synced));
  }
  return {};
}

}  // namespace

bool IsPossible(const JournalEntry& entry) {
  return (entry.change == JournalChange::kOwn || entry.change == JournalChange::kZero) &&
         entry.count != 0 && entry.count <= kMaxGrains && entry.first <= kMaxGrains - entry.count;
}

void PutEntry(Encoder* out, const JournalEntry& entry) {
  CHECK(IsPossible(entry)) << "journal entry at " << entry.first << " of " << entry.count;
  out->Put(entry.first | static_cast<uint64_t>(entry.change) << kChangeShift);
  out->Put(entry.count);
}

JournalEntry GetEntry(Decoder* in) {
  const auto word = in->Get<uint64_t>();
  JournalEntry entry;
  entry.first = word & ((1ull << kChangeShift) - 1);
  entry.change = static_cast<JournalChange>(word >> kChangeShift);
  entry.count = in->Get<uint64_t>();
  return entry;
}

uint32_t ChainSeed(const LogId& log) {
  Encoder name;
  name.Put(static_cast<uint8_t>(log.kind));
  name.Put(log.owner);
  name.Put(log.epoch);
  name.Put(log.generation);
  return Crc32c(name.view());
}

Bytes EncodeBatch(uint32_t seed, const BatchHeader& header, std::span<const JournalEntry> entries) {
  const size_t payload = entries.size() * kJournalEntryBytes;
  const Status fields = CheckFields(header, payload, header.position);
  CHECK(fields.ok()) << fields.ToString();
  Encoder out;
  out.Put(kBatchMagic);
  out.Put(uint32_t{0});
  out.Put(kVersion);
  out.Put(static_cast<uint8_t>(header.kind));
  out.Zeros(2);  // Flags.
  out.Put(static_cast<uint32_t>(payload));
  out.Put(header.position);
  out.Put(header.previous);
  out.Put(static_cast<uint32_t>(header.synced / kJournalEntryBytes));
  // An identity that proves nothing is written as zeros: nothing can ever match it.
  const bool trusted = header.cache.trusted;
  out.Put(trusted ? header.cache.boot : Uuid{});
  out.Put(trusted ? header.cache.mount : uint64_t{0});
  out.Put(header.covered);
  CHECK(out.size() == kJournalBatchHeader);
  for (const JournalEntry& entry : entries) PutEntry(&out, entry);
  Bytes bytes = out.Take();
  ResealBatch(seed, bytes);
  return bytes;
}

void ResealBatch(uint32_t seed, MutSpan batch) {
  const uint32_t checksum = ChecksumOf(seed, batch);
  std::memcpy(batch.data() + kChecksumAt, &checksum, sizeof(checksum));
}

Result<Batch> DecodeBatch(uint32_t seed, ConstSpan bytes, uint64_t position) {
  Decoder in(bytes);
  const bool same_magic = in.Get<uint32_t>() == kBatchMagic;
  Batch batch;
  batch.checksum = in.Get<uint32_t>();
  const auto version = in.Get<uint8_t>();
  batch.header.kind = static_cast<BatchKind>(in.Get<uint8_t>());
  const auto incompat = in.Get<uint8_t>();
  in.Get<uint8_t>();  // Other flags: a batch is never changed, so they ask nothing of a reader.
  const auto payload = in.Get<uint32_t>();
  batch.header.position = in.Get<uint64_t>();
  batch.header.previous = in.Get<uint32_t>();
  batch.header.synced = uint64_t{in.Get<uint32_t>()} * kJournalEntryBytes;
  batch.header.cache.boot = in.GetUuid();
  batch.header.cache.mount = in.Get<uint64_t>();
  batch.header.cache.trusted = !batch.header.cache.boot.is_zero();
  batch.header.covered = in.Get<uint64_t>();
  if (!in.ok()) return Bad("the bytes end within a batch");
  if (!same_magic) return Bad("there is no batch");
  RETURN_IF_ERROR(CheckFields(batch.header, payload, position));
  batch.payload = in.Raw(payload);
  if (!in.ok()) return Bad("the bytes end within a batch");
  if (ChecksumOf(seed, bytes.first(batch.size())) != batch.checksum) {
    return Bad("the checksum of a batch is wrong");
  }
  if (version != kVersion || incompat != 0) {
    return Status(Code::kUnsupported,
                  fmt::format("a batch has format version {}, features 0x{:x}", version, incompat));
  }
  Decoder entries(batch.payload);
  while (entries.remaining() > 0) {
    if (!IsPossible(GetEntry(&entries))) return Bad("an entry of a batch is impossible");
  }
  return batch;
}

void AppendEntries(const Batch& batch, std::vector<JournalEntry>* out) {
  Decoder in(batch.payload);
  while (in.remaining() > 0) out->push_back(GetEntry(&in));
}

}  // namespace atl
