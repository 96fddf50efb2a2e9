// SPDX-License-Identifier: Apache-2.0
#include "peers/format/header.h"

#include <fmt/format.h>

#include "peers/format/checked.h"
#include "peers/format/header_check.h"

namespace atl {
namespace {

constexpr std::string_view kMagic = "ATHD";
// What the header says of the current blob and journal.
constexpr uint8_t kBegun = 1;
constexpr uint8_t kSyncFailed = 2;

void PutRoot(Encoder* out, const RootPointer& root) {
  out->Put(root.owner);
  out->Put(root.store);
  out->Put(root.offset);
  out->Put(root.sequence);
  out->Put(root.length);
  out->Put(root.crc);
}

RootPointer GetRoot(Decoder* in) {
  RootPointer root;
  root.owner = in->GetUuid();
  root.store = in->GetUuid();
  root.offset = in->Get<uint64_t>();
  root.sequence = in->Get<uint32_t>();
  root.length = in->Get<uint32_t>();
  root.crc = in->Get<uint32_t>();
  return root;
}

void PutJournal(Encoder* out, const ReplayJournal& journal) {
  out->Put(journal.owner);
  out->Put(journal.store);
  out->Put(journal.blob_store);
  out->Put(journal.epoch);
  out->Put(journal.generation);
  out->Put(journal.length);
  out->Put(journal.entries);
}

ReplayJournal GetJournal(Decoder* in) {
  ReplayJournal journal;
  journal.owner = in->GetUuid();
  journal.store = in->GetUuid();
  journal.blob_store = in->GetUuid();
  journal.epoch = in->Get<uint32_t>();
  journal.generation = in->Get<uint32_t>();
  journal.length = in->Get<uint64_t>();
  journal.entries = in->Get<uint64_t>();
  return journal;
}

void PutMap(Encoder* out, const MapState& map) {
  PutRoot(out, map.root);
  out->Put(static_cast<uint32_t>(map.replay.size()));
  for (const ReplayJournal& journal : map.replay) PutJournal(out, journal);
}

MapState GetMap(Decoder* in) {
  MapState map;
  map.root = GetRoot(in);
  const auto count = in->Get<uint32_t>();
  if (count > kMaxReplayJournals) in->Fail();
  for (uint32_t i = 0; i < count && in->ok(); ++i) map.replay.push_back(GetJournal(in));
  return map;
}

void PutPending(Encoder* out, const PendingOperation& pending) {
  out->Put(pending.uuid);
  out->Put(pending.size);
  out->Put(pending.time_ns);
  out->Text(pending.name);
  PutMap(out, pending.map);
}

PendingOperation GetPending(Decoder* in, PendingKind kind) {
  PendingOperation pending{.kind = kind};
  pending.uuid = in->GetUuid();
  pending.size = in->Get<uint64_t>();
  pending.time_ns = in->Get<int64_t>();
  pending.name = in->Text(kMaxStoredName);
  pending.map = GetMap(in);
  return pending;
}

// In one place and order for both directions would need macros; the round-trip test compares them.
void PutFixed(Encoder* out, const Header& header) {
  out->Put(header.uuid);
  out->Put(header.name_space);
  out->Put(header.epoch_store);
  out->Put(header.parent);
  out->Put(header.size);
  out->Put(header.created_ns);
  out->Put(header.modified_ns);
  out->Put(header.refs);
  out->Put(header.encryption_key);
  out->Put(header.logical_block);
  out->Put(header.physical_block);
  out->Put(header.epoch);
  out->Put(header.generation);
  out->Put(header.node_sequence);
  out->Put(static_cast<uint8_t>(header.kind));
  out->Put(static_cast<uint8_t>(header.state));
  out->Put(static_cast<uint8_t>(header.pending ? header.pending->kind : PendingKind{}));
  const int sync_failed = header.sync_failed ? kSyncFailed : 0;
  out->Put(static_cast<uint8_t>((header.begun ? kBegun : 0) | sync_failed));
  out->Put(header.opening);
}

// Returns the kind of the pending operation; 0 for none.
PendingKind GetFixed(Decoder* in, Header* header) {
  header->uuid = in->GetUuid();
  header->name_space = in->GetUuid();
  header->epoch_store = in->GetUuid();
  header->parent = in->GetUuid();
  header->size = in->Get<uint64_t>();
  header->created_ns = in->Get<int64_t>();
  header->modified_ns = in->Get<int64_t>();
  header->refs = in->Get<uint64_t>();
  header->encryption_key = in->Get<uint64_t>();
  header->logical_block = in->Get<uint32_t>();
  header->physical_block = in->Get<uint32_t>();
  header->epoch = in->Get<uint32_t>();
  header->generation = in->Get<uint32_t>();
  header->node_sequence = in->Get<uint32_t>();
  header->kind = static_cast<HeaderKind>(in->Get<uint8_t>());
  header->state = static_cast<HeaderState>(in->Get<uint8_t>());
  const auto pending = static_cast<PendingKind>(in->Get<uint8_t>());
  const auto current = in->Get<uint8_t>();
  if (current > (kBegun | kSyncFailed)) in->Fail();
  header->begun = (current & kBegun) != 0;
  header->sync_failed = (current & kSyncFailed) != 0;
  header->opening = in->Get<uint32_t>();
  return pending;
}

}  // namespace

Result<Bytes> EncodeHeader(const Header& header) {
  const std::string what = RecordKey::Of(RecordKind::kHeader, header.uuid).ToString();
  RETURN_IF_ERROR(CheckHeader(header).With(what));
  Encoder out;
  BeginChecked(&out, kMagic, header.flags);
  PutFixed(&out, header);
  out.Text(header.name);
  out.Text(header.read_only_reason);
  PutMap(&out, header.map);
  if (header.pending) PutPending(&out, *header.pending);
  if (out.size() > kMaxHeaderBytes) {
    return Status(Code::kLimit,
                  fmt::format("{}: {} bytes, more than {}", what, out.size(), kMaxHeaderBytes));
  }
  return FinishChecked(&out);
}

Result<Header> DecodeHeader(ConstSpan bytes, const Uuid& uuid) {
  const std::string what = RecordKey::Of(RecordKind::kHeader, uuid).ToString();
  if (bytes.size() > kMaxHeaderBytes) {
    return Status(Code::kCorrupt,
                  fmt::format("{}: {} bytes, more than {}", what, bytes.size(), kMaxHeaderBytes));
  }
  auto body = OpenChecked(bytes, kMagic);
  if (!body.ok()) return body.status().With(what);
  Header header{.flags = body->flags};
  Decoder& in = body->in;
  const PendingKind pending = GetFixed(&in, &header);
  header.name = in.Text(kMaxStoredName);
  header.read_only_reason = in.Text(kMaxReadOnlyReason);
  header.map = GetMap(&in);
  if (pending != PendingKind{}) header.pending = GetPending(&in, pending);
  if (!in.done()) {
    return Status(Code::kCorrupt,
                  fmt::format("{}: its fields do not fill its bytes exactly", what));
  }
  if (header.uuid != uuid) {
    return Status(Code::kCorrupt,
                  fmt::format("{}: it is the header of {}", what, header.uuid.ToString()));
  }
  if (const Status status = CheckHeader(header); !status.ok()) {
    return Status(Code::kCorrupt, std::string(status.message())).With(what);
  }
  return header;
}

}  // namespace atl
