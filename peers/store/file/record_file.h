// SPDX-License-Identifier: Apache-2.0
//
// The bytes of one version of a record in a file store; docs/FORMAT.md, "Record file". Pure.
#pragma once

#include "peers/store/record_state.h"
#include "peers/store/store.h"

namespace atl {

inline constexpr size_t kRecordFileHeader = 256;
inline constexpr size_t kMaxRecordFile = kRecordFileHeader + kMaxRecordBytes;

struct RecordFile {
  RecordKey key;
  RecordState state;
  bool tombstone = false;  // The record is removed; there is no payload.
  bool read_only = false;  // A newer program wrote it: it may be read and not changed.
  Bytes payload;
};

Bytes EncodeRecordFile(const RecordFile& record);
// `key` and `version` are what the file's place says that it is; anything else is kCorrupt. A
// format that this program does not know is kUnsupported. Messages begin with `path`.
Result<RecordFile> DecodeRecordFile(ConstSpan bytes, const RecordKey& key, uint64_t version,
                                    const std::string& path);

}  // namespace atl
