// SPDX-License-Identifier: Apache-2.0
#include "peers/volumes/lease.h"

#include <fmt/format.h>

#include <fstream>

namespace atl {

void IdentifyProcess(NodeIdentity* identity) {
  identity->boot = ThisBoot();
  identity->process = ThisProcess();
  identity->pid_namespace = ThisPidNamespace();
}

LeaseKeeper::LeaseKeeper(Env* env, Store* store, const NodeIdentity* identity)
    : env_(env), store_(store), identity_(identity), alarm_(*env) {}

LeaseKeeper::~LeaseKeeper() = default;

Status LeaseKeeper::Valid() const {
  if (env_->BootNs() < valid_until_ns_) return {};
  return {Code::kFenced, fmt::format("the lease of this node in store {} could not be renewed",
                                     store_->info().name)};
}

Task<Status> LeaseKeeper::Start() {
  const auto lock = co_await mutex_.Lock();
  if (started_) co_return OkStatus();
  CO_RETURN_IF_ERROR(co_await Renew());
  started_ = true;
  loop_.Run(RenewLoop());
  co_return OkStatus();
}

Task<Status> LeaseKeeper::Renew() {
  const int64_t sent_ns = env_->BootNs();
  LeaseRecord record;
  record.incarnation = identity_->incarnation;
  record.node = identity_->node;
  record.control_address = identity_->control_address;
  record.boot = identity_->boot;
  record.pid = identity_->process.pid;
  record.pid_namespace = identity_->pid_namespace;
  record.start_ticks = identity_->process.start_ticks;
  record.term_ns = identity_->lease_term_ns;
  record.renewals = ++renewals_;
  CO_ASSIGN_OR_RETURN(const Bytes bytes, EncodeLeaseRecord(record));
  const RecordKey key = RecordKey::Of(RecordKind::kLease, identity_->incarnation);
  auto version = co_await store_->SwapRecord(key, version_, bytes, env_->NewUuid());
  if (version.code() == Code::kConflict) {
    CO_ASSIGN_OR_RETURN(version_, co_await FindVersion());
    version = co_await store_->SwapRecord(key, version_, bytes, env_->NewUuid());
  }
  if (!version.ok()) co_return version.status();
  version_ = *version;
  valid_until_ns_ = sent_ns + identity_->lease_term_ns / 10 * 9;
  co_return OkStatus();
}

// Nobody else writes this record, so what is there is a renewal whose answer was lost. Its time
// does not count: we do not know when it was sent.
Task<Result<uint64_t>> LeaseKeeper::FindVersion() {
  const RecordKey key = RecordKey::Of(RecordKind::kLease, identity_->incarnation);
  const auto record = co_await store_->GetRecord(key, ReadFor::kAct);
  if (!record.ok()) co_return record.status();
  const auto lease = DecodeLeaseRecord(record->payload, identity_->incarnation);
  if (!lease.ok()) co_return lease.status();
  if (lease->ended) {
    co_return Status(Code::kFenced, fmt::format("the lease of this node in store {} was ended",
                                                store_->info().name));
  }
  co_return record->version;
}

Task<void> LeaseKeeper::RenewLoop() {
  int64_t pause_ns = identity_->lease_term_ns / 3;
  while (true) {
    co_await alarm_.Sleep(pause_ns);
    if (stopping_) co_return;
    const Status status = co_await Renew();
    if (stopping_) co_return;
    // Trying again soon: the term has two more thirds.
    pause_ns = identity_->lease_term_ns / (status.ok() ? 3 : 30);
  }
}

Task<void> LeaseKeeper::Stop() {
  stopping_ = true;
  alarm_.Ring();
  co_await loop_.Join();
  if (renewals_ == 0) co_return;  // Else it may be there though that was not told.
  const RecordKey key = RecordKey::Of(RecordKind::kLease, identity_->incarnation);
  const Status removed = co_await store_->RemoveRecord(key, version_, env_->NewUuid());
  if (removed.code() == Code::kConflict) {
    const auto version = co_await FindVersion();
    if (version.ok()) (void)co_await store_->RemoveRecord(key, *version, env_->NewUuid());
  }
  valid_until_ns_ = 0;
}

Task<Result<LeaseRecord>> ReadLease(Store* store, Uuid incarnation) {
  const RecordKey key = RecordKey::Of(RecordKind::kLease, incarnation);
  auto record = co_await store->GetRecord(key, ReadFor::kLook);
  if (!record.ok()) co_return record.status();
  co_return DecodeLeaseRecord(record->payload, incarnation);
}

Task<Status> EndLease(Env* env, Store* store, Uuid incarnation) {
  const RecordKey key = RecordKey::Of(RecordKind::kLease, incarnation);
  auto record = co_await store->GetRecord(key, ReadFor::kAct);
  if (record.code() == Code::kNotFound) co_return OkStatus();
  if (!record.ok()) co_return record.status();
  co_return co_await store->RemoveRecord(key, record->version, env->NewUuid());
}

bool IsKnownDead(const LeaseRecord& lease, const NodeIdentity& identity) {
  if (lease.ended) return true;
  const bool visible = lease.boot == identity.boot && lease.pid_namespace != 0 &&
                       lease.pid_namespace == identity.pid_namespace;
  return visible && !IsAlive({lease.pid, lease.start_ticks});
}

Uuid ThisBoot() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string text;
  in >> text;
  const auto uuid = Uuid::Parse(text);
  return uuid.ok() ? *uuid : Uuid();
}

}  // namespace atl
