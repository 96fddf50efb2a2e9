// SPDX-License-Identifier: Apache-2.0
#include "peers/format/records.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <set>

#include "peers/format/checked.h"

namespace atl {
namespace {

constexpr std::string_view kNameMagic = "ATNR";
constexpr std::string_view kLockMagic = "ATLK";
constexpr std::string_view kLeaseMagic = "ATLE";

Status Corrupt(const Status& why, std::string_view what) {
  return Status(Code::kCorrupt, std::string(why.message())).With(what);
}
Status BadBody(std::string_view what) {
  return {Code::kCorrupt, fmt::format("{}: its fields do not fill its bytes exactly", what)};
}

// The rules of each record: what Encode refuses to write and Decode refuses to read.
Status Check(const NameRecord& record) {
  if (record.name.empty()) return {Code::kInvalid, "the name is empty"};
  if (record.name.size() > kMaxStoredName) return {Code::kLimit, "the name is too long"};
  if (record.uuid.is_zero()) return {Code::kInvalid, "the uuid is zero"};
  return {};
}

Status Check(const LockRecord& record) {
  if (record.resource.is_zero()) return {Code::kInvalid, "the resource is zero"};
  if (record.mode > LockMode::kRemoving) {
    return {Code::kInvalid, fmt::format("lock mode {} is unknown", static_cast<int>(record.mode))};
  }
  if (record.readers.size() > kMaxLockReaders) {
    return {Code::kLimit, fmt::format("a lock has at most {} readers", kMaxLockReaders)};
  }
  const std::set<Uuid> distinct(record.readers.begin(), record.readers.end());
  if (distinct.size() != record.readers.size()) return {Code::kInvalid, "a reader stands twice"};
  if (distinct.contains(Uuid{})) return {Code::kInvalid, "a reader is zero"};
  const bool used = !record.holder.is_zero() || !record.readers.empty();
  if (record.mode == LockMode::kFree && used) return {Code::kInvalid, "a free lock has a holder"};
  if (record.mode == LockMode::kWriter && record.holder.is_zero()) {
    return {Code::kInvalid, "a writer's lock has no holder"};
  }
  if (record.mode == LockMode::kReaders && record.readers.empty()) {
    return {Code::kInvalid, "a readers' lock has no readers"};
  }
  return {};
}

Status Check(const LeaseRecord& record) {
  if (record.incarnation.is_zero()) return {Code::kInvalid, "the incarnation is zero"};
  if (record.node.size() > kMaxLeaseText || record.control_address.size() > kMaxLeaseText) {
    return {Code::kLimit, fmt::format("a text of a lease has at most {} bytes", kMaxLeaseText)};
  }
  if (record.term_ns <= 0) return {Code::kInvalid, "the term is not positive"};
  return {};
}

}  // namespace

RecordKey NameKey(const Uuid& name_space, std::string_view name) {
  Encoder input;
  input.Put(name_space);
  input.Raw(AsBytes(name));
  RecordKey key{.kind = RecordKind::kName};
  CHECK(EVP_Digest(input.view().data(), input.size(), key.name.data(), nullptr, EVP_sha256(),
                   nullptr) == 1);
  return key;
}

Result<Bytes> EncodeNameRecord(const NameRecord& record) {
  RETURN_IF_ERROR(Check(record).With("name record"));
  Encoder out;
  BeginChecked(&out, kNameMagic, record.flags);
  out.Put(record.name_space);
  out.Put(record.uuid);
  out.Put(record.store);
  out.Text(record.name);
  return FinishChecked(&out);
}

Result<NameRecord> DecodeNameRecord(ConstSpan bytes, const RecordKey& key) {
  const std::string what = key.ToString();
  auto body = OpenChecked(bytes, kNameMagic);
  if (!body.ok()) return body.status().With(what);
  NameRecord record{.flags = body->flags};
  Decoder& in = body->in;
  record.name_space = in.GetUuid();
  record.uuid = in.GetUuid();
  record.store = in.GetUuid();
  record.name = in.Text(kMaxStoredName);
  if (!in.done()) return BadBody(what);
  if (const Status status = Check(record); !status.ok()) return Corrupt(status, what);
  if (NameKey(record.name_space, record.name) != key) {
    return Status(Code::kCorrupt, fmt::format("{}: it is the record of another name", what));
  }
  return record;
}

Result<Bytes> EncodeLockRecord(const LockRecord& record) {
  RETURN_IF_ERROR(Check(record).With("lock record"));
  Encoder out;
  BeginChecked(&out, kLockMagic, record.flags);
  out.Put(record.resource);
  out.Put(record.holder);
  out.Put(record.wanted);
  out.Put(record.generation);
  out.Put(static_cast<uint8_t>(record.mode));
  out.Zeros(1);
  out.Put(static_cast<uint16_t>(record.readers.size()));
  for (const Uuid& reader : record.readers) out.Put(reader);
  return FinishChecked(&out);
}

Result<LockRecord> DecodeLockRecord(ConstSpan bytes, const Uuid& resource) {
  const std::string what = RecordKey::Of(RecordKind::kLock, resource).ToString();
  auto body = OpenChecked(bytes, kLockMagic);
  if (!body.ok()) return body.status().With(what);
  LockRecord record{.flags = body->flags};
  Decoder& in = body->in;
  record.resource = in.GetUuid();
  record.holder = in.GetUuid();
  record.wanted = in.GetUuid();
  record.generation = in.Get<uint32_t>();
  record.mode = static_cast<LockMode>(in.Get<uint8_t>());
  if (in.Get<uint8_t>() != 0) in.Fail();
  const auto readers = in.Get<uint16_t>();
  if (readers > kMaxLockReaders) in.Fail();
  for (uint16_t i = 0; i < readers && in.ok(); ++i) record.readers.push_back(in.GetUuid());
  if (!in.done()) return BadBody(what);
  if (const Status status = Check(record); !status.ok()) return Corrupt(status, what);
  if (record.resource != resource) {
    return Status(Code::kCorrupt,
                  fmt::format("{}: it is the lock of {}", what, record.resource.ToString()));
  }
  return record;
}

Result<Bytes> EncodeLeaseRecord(const LeaseRecord& record) {
  RETURN_IF_ERROR(Check(record).With("lease record"));
  Encoder out;
  BeginChecked(&out, kLeaseMagic, record.flags);
  out.Put(record.incarnation);
  out.Put(record.boot);
  out.Put(record.term_ns);
  out.Put(record.renewals);
  out.Put(record.pid);
  out.Put(static_cast<uint8_t>(record.ended));
  out.Zeros(3);
  out.Put(record.pid_namespace);
  out.Put(record.start_ticks);
  out.Text(record.node);
  out.Text(record.control_address);
  return FinishChecked(&out);
}

Result<LeaseRecord> DecodeLeaseRecord(ConstSpan bytes, const Uuid& incarnation) {
  const std::string what = RecordKey::Of(RecordKind::kLease, incarnation).ToString();
  auto body = OpenChecked(bytes, kLeaseMagic);
  if (!body.ok()) return body.status().With(what);
  LeaseRecord record{.flags = body->flags};
  Decoder& in = body->in;
  record.incarnation = in.GetUuid();
  record.boot = in.GetUuid();
  record.term_ns = in.Get<int64_t>();
  record.renewals = in.Get<uint64_t>();
  record.pid = in.Get<uint32_t>();
  const auto ended = in.Get<uint8_t>();
  record.ended = ended == 1;
  if (ended > 1 || !IsAllZero(in.Raw(3))) in.Fail();
  record.pid_namespace = in.Get<uint64_t>();
  record.start_ticks = in.Get<uint64_t>();
  record.node = in.Text(kMaxLeaseText);
  record.control_address = in.Text(kMaxLeaseText);
  if (!in.done()) return BadBody(what);
  if (const Status status = Check(record); !status.ok()) return Corrupt(status, what);
  if (record.incarnation != incarnation) {
    return Status(Code::kCorrupt,
                  fmt::format("{}: it is the lease of {}", what, record.incarnation.ToString()));
  }
  return record;
}

}  // namespace atl
