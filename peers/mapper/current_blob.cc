// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/current_blob.h"

#include <fmt/format.h>

#include <algorithm>

#include "peers/format/journal.h"
#include "peers/mapper/journal_log.h"
#include "peers/mapper/root_store.h"

namespace atl {
namespace {

constexpr size_t kReadStep = 1 * kMiB;

Task<Result<bool>> IsAbsent(Store* store, BlobId blob) {
  const auto usage = co_await store->Usage(blob);
  if (usage.code() == Code::kNotFound) co_return true;
  if (!usage.ok()) co_return usage.status();
  co_return false;
}

// Whether a map reads from its own current blob already, so that the blob must be there.
Task<Result<bool>> ReadsCurrentBlob(StoreSet* stores, Store* store, Header header) {
  const BlobId own = header.blob();
  for (const ReplayJournal& journal : header.map.replay) {
    if (journal.blob() == own && journal.entries > 0) co_return true;
  }
  const auto bytes = co_await ReadWholeLog(store, header.journal(), kJournalCapacity);
  if (!bytes.ok() && bytes.code() != Code::kNotFound) co_return bytes.status();
  if (bytes.ok()) {
    const JournalContent content = RecoverJournal(header.journal(), *bytes, store->info().cache,
                                                  store->info().capabilities.durable_at_ack);
    if (!content.entries.empty()) co_return true;
  }
  CO_ASSIGN_OR_RETURN(const Root root, co_await ReadRoot(stores, header.map.root));
  for (const auto& [index, source] : root.sources) {
    if (source.type == SourceType::kBlob && source.blob() == own) co_return true;
  }
  co_return false;
}

}  // namespace

Task<Result<Bytes>> ReadWholeLog(Store* store, LogId log, uint64_t limit) {
  Bytes bytes;
  while (bytes.size() < limit) {
    const size_t before = bytes.size();
    const size_t want = std::min<uint64_t>(kReadStep, limit - before);
    bytes.resize(before + want);
    const auto got = co_await store->ReadLog(log, before, MutSpan(bytes).subspan(before));
    if (!got.ok()) co_return got.status();
    bytes.resize(before + *got);
    if (*got < want) break;
  }
  co_return bytes;
}

// Looks twice: a holder may make the blob, and put its first changes into the journal, meanwhile.
Task<Result<bool>> IsCurrentBlobLost(StoreSet* stores, Store* store, Header header) {
  CO_ASSIGN_OR_RETURN(const bool absent, co_await IsAbsent(store, header.blob()));
  if (!absent) co_return false;
  CO_ASSIGN_OR_RETURN(const bool needed, co_await ReadsCurrentBlob(stores, store, header));
  if (!needed) co_return false;
  co_return co_await IsAbsent(store, header.blob());
}

Status LostBlob(const Store& store, const Header& header) {
  return {Code::kCorrupt, fmt::format("volume {}: its blob {} is not in store {}", header.name,
                                      header.blob().ToString(), store.info().name)};
}

}  // namespace atl
