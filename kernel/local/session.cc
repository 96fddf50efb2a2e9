// SPDX-License-Identifier: Apache-2.0
#include "kernel/local/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace atl::local {

Session::Session(const Parts& parts)
    : parts_(parts), on_request_([this](ClientRequest request) { Begin(std::move(request)); }) {}

Task<void> Session::Run() {
  parts_.executor->AddPoller(this);
  while (end_.ok() && !stopping_) co_await changed_;
  parts_.executor->RemovePoller(this);
  while (parts_.client->in_service() > 0) co_await changed_;
}

void Session::FinishSoon() {
  stopping_ = true;
  changed_.Wake();
}

bool Session::Poll() {
  if (!end_.ok() || stopping_) return false;
  bool any = false;
  turn_bytes_ = 0;
  for (int looks = 0; looks < kLooksInATurn && !IsTurnOver(); ++looks) {
    bool more = false;
    looked_ns_ = 0;
    end_ = parts_.client->Poll(on_request_, &more);
    any |= more;
    if (!end_.ok()) {
      changed_.Wake();
      return true;
    }
    if (!more) break;
  }
  if (!any) return false;
  if (std::exchange(looks_until_ns_, 0) != 0) pace_.OnSpin(true);
  if (sleeps_from_ns_ != 0) {
    pace_.OnSleep(parts_.executor->StampNs() - std::exchange(sleeps_from_ns_, 0));
  }
  return true;
}

// What is in service may need the CPU that looking takes.
bool Session::KeepsLooking() {
  if (parts_.client->in_service() > 0) return false;
  if (looks_until_ns_ == 0 && pace_.spin_ns() == 0) return false;
  const int64_t now_ns = parts_.executor->StampNs();
  if (looks_until_ns_ == 0) looks_until_ns_ = now_ns + pace_.spin_ns();
  if (now_ns < looks_until_ns_) return true;
  looks_until_ns_ = 0;
  pace_.OnSpin(false);
  return false;
}

bool Session::PrepareSleep() {
  if (KeepsLooking()) return false;
  if (sleeps_from_ns_ == 0) sleeps_from_ns_ = parts_.executor->StampNs();
  sleeps_ = parts_.client->PrepareSleep();
  return sleeps_;
}

void Session::Woken() {
  if (std::exchange(sleeps_, false)) parts_.client->Woken();
}

void Session::Begin(ClientRequest request) {
  // One clock for all that one look has brought.
  if (looked_ns_ == 0) looked_ns_ = parts_.executor->StampNs();
  const auto call = JudgeCall(request.op(), request.flags(), request.arguments(), request.buffer(),
                              parts_.device->info().read_only);
  if (!call.ok()) {
    Count(request.op(), 0, true, looked_ns_);
    Answer(std::move(request), call.status());
  } else if (DoAtOnce(*call)) {
    turn_bytes_ += call->range.length;
    Count(call->op, call->range.length, false, looked_ns_);
    parts_.client->Respond(std::move(request), Code::kOk, 0);
  } else {
    ++parts_.stats->in_flight;
    Spawn(Serve(std::move(request), *call, looked_ns_));
  }
}

bool Session::DoAtOnce(const Call& call) {
  if (call.range.empty() || call.range.length > kMostAtOnce || IsTurnOver()) return false;
  if (!call.is_inside(parts_.device->info().size)) return false;
  if (call.op == kOpRead) return parts_.device->TryRead(call.range.offset, call.buffer);
  if (call.op != kOpWrite) return false;
  return parts_.device->TryWrite(call.range.offset, call.buffer, call.write_options());
}

Task<void> Session::Serve(ClientRequest request, Call call, int64_t began_ns) {
  if (IsTurnOver()) co_await Yield{};
  const Status status = co_await Do(call);
  --parts_.stats->in_flight;
  Count(call.op, call.range.length, !status.ok(), began_ns);
  Answer(std::move(request), status);
  if (parts_.client->in_service() == 0) changed_.Wake();
}

Task<Status> Session::Do(const Call& call) {
  if (!call.is_inside(parts_.device->info().size)) {
    // It may have grown.
    CO_RETURN_IF_ERROR(co_await parts_.device->Refresh());
    const uint64_t size = parts_.device->info().size;
    if (!call.is_inside(size)) {
      co_return Status(Code::kInvalid, fmt::format("{} bytes at {} are not inside of its {}",
                                                   call.range.length, call.range.offset, size));
    }
  }
  switch (call.op) {
    case kOpRead:
      co_return co_await parts_.device->Read(call.range.offset, call.buffer);
    case kOpWrite:
      co_return co_await parts_.device->Write(call.range.offset, call.buffer, call.write_options());
    case kOpFlush:
      co_return co_await parts_.device->Flush();
    case kOpDiscard:
      co_return co_await parts_.device->Discard(call.range, call.write_options());
    default:
      CHECK(call.op == kOpWriteZeroes) << "a call that was judged";
      co_return co_await parts_.device->WriteZeroes(call.range, call.zero_options());
  }
}

void Session::Answer(ClientRequest&& request, const Status& status) {
  const std::string_view text = status.message().substr(0, kInlineArgumentBytes);
  parts_.client->Respond(std::move(request), status.code(), 0, AsBytes(text));
}

void Session::Count(uint16_t op, uint64_t length, bool failed, int64_t began_ns) {
  nbd::ExportStats& stats = *parts_.stats;
  if (failed) ++stats.errors;
  if (op == kOpRead) {
    ++stats.reads;
    if (!failed) stats.read_bytes += length;
  } else if (op == kOpWrite) {
    ++stats.writes;
    if (!failed) stats.write_bytes += length;
  } else {
    ++stats.others;
  }
  stats.latency.Record(parts_.executor->StampNs() - began_ns);
}

}  // namespace atl::local
