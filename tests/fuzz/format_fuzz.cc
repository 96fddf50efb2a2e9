// SPDX-License-Identifier: Apache-2.0
//
// Hostile bytes for every durable structure. The first byte picks the decoder and says whether the
// checksum is made right first, so that what stands behind it is reached too. Whatever is accepted
// must survive being written and read again.
#include <algorithm>
#include <array>

#include "peers/format/checked.h"
#include "peers/format/header.h"
#include "peers/format/journal_batch.h"
#include "peers/format/records.h"
#include "peers/format/write_log_reader.h"
#include "peers/map/node_header.h"
#include "peers/map/root.h"

namespace atl {
namespace {

const Uuid kUuid{{1}};
const LogId kJournal = LogId::Journal(kUuid, 1, 1);
const NodePlace kPlace{LogId::Nodes(kUuid, 1), 4096};
const BlobId kWriteLog = WriteLogOf(kUuid, 1);
const CacheIdentity kCache{.boot = {{2}}, .mount = 3, .trusted = true};

// With its checksum made right if `seal`.
Bytes Sealed(Bytes bytes, bool seal, uint32_t seed = 0) {
  if (!seal || bytes.size() < kCheckedHeaderBytes) return bytes;
  Encoder out;
  out.Raw(bytes);
  out.PatchAt(kEnvelopeBytes, uint32_t{0});
  return FinishChecked(&out, seed);
}

void FuzzHeader(const Bytes& bytes) {
  const auto header = DecodeHeader(bytes, kUuid);
  if (header.ok()) CHECK(*EncodeHeader(*header) == bytes);
}

void FuzzName(const Bytes& bytes) {
  const auto record = DecodeNameRecord(bytes, NameKey(kUuid, "name"));
  if (record.ok()) CHECK(*EncodeNameRecord(*record) == bytes);
}

void FuzzLock(const Bytes& bytes) {
  const auto record = DecodeLockRecord(bytes, kUuid);
  if (record.ok()) CHECK(*EncodeLockRecord(*record) == bytes);
}

void FuzzLease(const Bytes& bytes) {
  const auto record = DecodeLeaseRecord(bytes, kUuid);
  if (record.ok()) CHECK(*EncodeLeaseRecord(*record) == bytes);
}

void FuzzRoot(const Bytes& bytes) {
  if (bytes.size() < kCheckedHeaderBytes) return;
  const auto root = DecodeRoot(bytes, kPlace, RootChecksum(bytes));
  if (root.ok()) CHECK(*EncodeRoot(*root, kPlace) == bytes);
}

void FuzzLeaf(const Bytes& bytes) {
  const auto leaf = DecodeLeaf(bytes, 0, kPlace);
  if (!leaf.ok()) return;
  CHECK(*NodeLength(bytes) == bytes.size());
  Encoder out;
  EncodeLeaf(*leaf, 0, kPlace, &out);
  CHECK(DecodeLeaf(out.view(), 0, kPlace)->sources == leaf->sources);
}

void FuzzInner(const Bytes& bytes) {
  const auto inner = DecodeInner(bytes, 1, 0, kPlace);
  if (!inner.ok()) return;
  CHECK(*NodeLength(bytes) == bytes.size());
  Encoder out;
  EncodeInner(*inner, 1, 0, kPlace, &out);
  CHECK(DecodeInner(out.view(), 1, 0, kPlace)->children == inner->children);
}

// Makes position, link and checksum of batch after batch right, as far as the sizes lead.
void SealChain(Bytes* bytes) {
  const uint32_t seed = ChainSeed(kJournal);
  uint32_t chain = seed;
  uint64_t at = 0;
  while (bytes->size() - at >= kJournalBatchHeader) {
    std::byte* const batch = bytes->data() + at;
    uint32_t payload = 0;
    std::memcpy(&payload, batch + 12, sizeof(payload));
    if (payload > bytes->size() - at - kJournalBatchHeader) return;
    std::memcpy(batch + 16, &at, sizeof(at));
    std::memcpy(batch + 24, &chain, sizeof(chain));
    ResealBatch(seed, MutSpan(batch, kJournalBatchHeader + payload));
    std::memcpy(&chain, batch + 4, sizeof(chain));
    at += kJournalBatchHeader + payload;
  }
}

void FuzzJournal(const Bytes& bytes) {
  for (const bool durable : {false, true}) {
    const JournalContent content = RecoverJournal(kJournal, bytes, kCache, durable);
    CHECK(content.length <= content.valid_length && content.valid_length <= bytes.size());
    CHECK(!durable || content.length == content.valid_length);
    CHECK(content.length >= content.barrier_covered);
    const auto pinned = ReadPinnedJournal(kJournal, bytes, content.length);
    CHECK(pinned.ok()) << pinned.status().ToString();
    CHECK(pinned->entries == content.entries && pinned->batches == content.batches);
  }
}

// Makes checksum and link of record after record right, as far as the lengths lead.
void SealRecords(Bytes* bytes) {
  uint32_t previous = 0;
  for (size_t at = 0; bytes->size() - at >= kWriteLogPage;) {
    std::byte* const record = bytes->data() + at;
    uint32_t length = 0;
    std::memcpy(&length, record + 24, sizeof(length));
    if (length < kWriteLogPage || length > bytes->size() - at) return;
    std::memcpy(record + 52, &previous, sizeof(previous));
    previous = SealChecked(MutSpan(record, length), WriteLogSeed(kWriteLog));
    at += length;
  }
}

// Cut in two where its first byte says.
void FuzzWriteLog(Bytes bytes, bool seal) {
  if (bytes.empty()) return;
  const size_t cut = std::to_integer<size_t>(bytes[0]) * kWriteLogPage;
  bytes.erase(bytes.begin());
  if (seal) SealRecords(&bytes);
  const ConstSpan all(bytes);
  const std::array<ConstSpan, 2> halves{all.first(std::min(cut, all.size())),
                                        all.subspan(std::min(cut, all.size()))};
  const auto at = [&halves](ByteRange range) {
    const size_t half = range.offset < kWriteLogHalf ? 0 : 1;
    return halves[half].subspan(range.offset % kWriteLogHalf, range.length);
  };
  WriteLogReader reader(kWriteLog, 1, {halves[0].size(), halves[1].size()});
  for (ByteRange piece = reader.wants(); !piece.empty(); piece = reader.wants()) {
    reader.Take(at(piece));
  }
  const auto live = reader.Live();
  if (!live.ok()) return;
  for (const PlacedRecord& placed : *live) {
    const auto writes = DecodeWriteLogRecord(kWriteLog, at({placed.at, placed.size}));
    CHECK(writes.ok());
    CHECK(writes->data.size() == LoggedGrains(writes->record.runs) * kSubGrain);
    Bytes again(writes->size());
    std::ranges::copy(writes->data, again.begin() + kWriteLogPage);
    CHECK(SealWriteLogRecord(kWriteLog, writes->record, again) == placed.checksum);
  }
}

void Fuzz(uint8_t pick, Bytes bytes) {
  const bool seal = (pick & 0x80) != 0;
  switch (pick & 0x7F) {
    case 0:
      return FuzzHeader(Sealed(std::move(bytes), seal));
    case 1:
      return FuzzName(Sealed(std::move(bytes), seal));
    case 2:
      return FuzzLock(Sealed(std::move(bytes), seal));
    case 3:
      return FuzzLease(Sealed(std::move(bytes), seal));
    case 4:
      return FuzzRoot(Sealed(std::move(bytes), seal, SeedOf(kPlace)));
    case 5:
    case 6: {
      Encoder out;
      out.Raw(bytes);
      if (seal && bytes.size() >= kNodeHeaderBytes) FinishNode(&out, 0, kPlace);
      const Bytes node = out.Take();
      return (pick & 0x7F) == 5 ? FuzzLeaf(node) : FuzzInner(node);
    }
    case 7:
      if (seal) SealChain(&bytes);
      return FuzzJournal(bytes);
    case 8:
      return FuzzWriteLog(std::move(bytes), seal);
    default:
      return;
  }
}

}  // namespace
}  // namespace atl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto* const bytes = reinterpret_cast<const std::byte*>(data);
  atl::Fuzz(data[0], atl::Bytes(bytes + 1, bytes + size));
  return 0;
}
