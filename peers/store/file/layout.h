// SPDX-License-Identifier: Apache-2.0
//
// Where a file store keeps what. docs/FORMAT.md, section "File store", is the reference.
//
//   ATOLL-STORE                          marks a directory that holds a store
//   reserve                              blocks kept back for logs and records
//   blobs/<32 hex>.<epoch>[.i<N>]/head   lock and identity of the blob; empty
//                                 <k>    bytes [k TiB, (k + 1) TiB)
//                                 <k>.made  hard link of head: file <k> was made
//   logs/j.<32 hex>.<epoch>.<generation> journals
//        n.<32 hex>.<sequence>           node blobs
//   chunks/<2 hex>/<64 hex>
//   records/<kind>/<hex>/<version>       hex: 32 digits where the rest of the name is zero, else 64
//   floors/<kind>/<version>              no record is made with a version up to this
//   tmp/                                 temporaries, and what is being removed
//
// Names of resources never become names of files: only uuids, hashes and numbers do. Parsing is
// strict: a name that the formatting would not have made is foreign.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "peers/store/ids.h"

namespace atl {

inline constexpr const char* kMarkerFile = "ATOLL-STORE";
inline constexpr const char* kReserveFile = "reserve";
inline constexpr const char* kBlobsDir = "blobs";
inline constexpr const char* kLogsDir = "logs";
inline constexpr const char* kChunksDir = "chunks";
inline constexpr const char* kRecordsDir = "records";
inline constexpr const char* kSumsFile = "sums";  // sums_marker.h
inline constexpr const char* kFloorsDir = "floors";
inline constexpr const char* kTmpDir = "tmp";

inline constexpr const char* kBlobHead = "head";
inline constexpr const char* kMadeSuffix = ".made";
// What is moved to tmp/ under this prefix is garbage from that moment on.
inline constexpr const char* kRemovedPrefix = "rm.";

std::string FileNameOf(const BlobId& blob);
std::string FileNameOf(const LogId& log);
std::string FileNameOf(const RecordName& name);
const char* DirOf(RecordKind kind);

std::optional<BlobId> ParseBlobName(std::string_view name);
std::optional<LogId> ParseLogName(std::string_view name);
std::optional<RecordName> ParseRecordName(std::string_view name);
std::optional<ChunkId> ParseChunkName(std::string_view name);
// Decimal, without leading zeros.
std::optional<uint64_t> ParseNumber(std::string_view text);

inline constexpr RecordKind kRecordKinds[] = {RecordKind::kSuperblock, RecordKind::kHeader,
                                              RecordKind::kName, RecordKind::kLock,
                                              RecordKind::kLease};

}  // namespace atl
