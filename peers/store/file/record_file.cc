// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/record_file.h"

#include <fmt/format.h>

#include "xseg/base/crc32c.h"

namespace atl {
namespace {

constexpr uint64_t kMagic = 0x4443524C4C4F5441;  // "ATOLLCRD"
constexpr uint16_t kFormat = 1;
constexpr uint32_t kKnownIncompat = 0;
constexpr uint32_t kFlagTombstone = 1;
constexpr size_t kChecksumAt = 252;

uint32_t Checksum(ConstSpan file) {
  return Crc32c(file.subspan(kRecordFileHeader), Crc32c(file.first(kChecksumAt)));
}

Status Corrupt(const std::string& path, std::string_view what) {
  return {Code::kCorrupt, fmt::format("{}: {}", path, what)};
}

}  // namespace

Bytes EncodeRecordFile(const RecordFile& record) {
  Encoder out;
  out.Put(kMagic);
  out.Put(kFormat);
  out.Put(static_cast<uint16_t>(record.key.kind));
  out.Put(uint32_t{record.tombstone ? kFlagTombstone : 0});
  out.Put(uint32_t{0});  // compat
  out.Put(uint32_t{0});  // read-only compat
  out.Put(uint32_t{0});  // incompat
  out.Put(static_cast<uint32_t>(record.payload.size()));
  out.Raw(std::as_bytes(std::span(record.key.name)));
  out.Put(record.state.version);
  out.Put(record.state.operation);
  out.Put(record.state.creator);
  for (const Uuid& operation : record.state.history) out.Put(operation);
  out.Zeros(kRecordFileHeader - out.size());
  out.Raw(record.payload);
  out.PatchAt(kChecksumAt, Checksum(out.view()));
  return out.Take();
}

Result<RecordFile> DecodeRecordFile(ConstSpan bytes, const RecordKey& key, uint64_t version,
                                    const std::string& path) {
  if (bytes.size() < kRecordFileHeader) return Corrupt(path, "too short for a record");
  Decoder in(bytes);
  if (in.Get<uint64_t>() != kMagic) return Corrupt(path, "no record: wrong magic");
  uint32_t stored;
  std::memcpy(&stored, bytes.data() + kChecksumAt, sizeof(stored));
  if (stored != Checksum(bytes)) return Corrupt(path, "wrong checksum");
  // From here on the bytes are what was written; by whom is another question.
  const auto format = in.Get<uint16_t>();
  RecordFile record;
  record.key.kind = static_cast<RecordKind>(in.Get<uint16_t>());
  record.tombstone = (in.Get<uint32_t>() & kFlagTombstone) != 0;
  in.Get<uint32_t>();  // compat
  record.read_only = in.Get<uint32_t>() != 0;
  const auto incompat = in.Get<uint32_t>();
  if (format != kFormat || (incompat & ~kKnownIncompat) != 0) {
    return Status(Code::kUnsupported, path + ": written by a newer program");
  }
  const auto length = in.Get<uint32_t>();
  const ConstSpan name = in.Raw(record.key.name.size());
  std::memcpy(record.key.name.data(), name.data(), name.size());
  record.state.version = in.Get<uint64_t>();
  record.state.operation = in.GetUuid();
  record.state.creator = in.GetUuid();
  for (Uuid& operation : record.state.history) operation = in.GetUuid();
  if (length != bytes.size() - kRecordFileHeader) return Corrupt(path, "wrong length");
  if (record.key != key) return Corrupt(path, "the record of another key");
  if (record.state.version != version || version == 0) return Corrupt(path, "another version");
  const ConstSpan payload = bytes.subspan(kRecordFileHeader);
  record.payload.assign(payload.begin(), payload.end());
  return record;
}

}  // namespace atl
