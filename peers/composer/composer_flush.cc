// SPDX-License-Identifier: Apache-2.0
//
// Flushes, pins and checkpoints.
#include <spdlog/spdlog.h>

#include "peers/composer/composer.h"
#include "xseg/base/planted.h"

namespace atl {
namespace {

constexpr int kPinAttempts = 10;
// Between attempts of a checkpoint, while somebody waits for it and while nobody does.
constexpr int64_t kFirstPause = 100 * kMillisecond;
constexpr int64_t kLastPause = kSecond;
constexpr int64_t kLastIdlePause = 60 * kSecond;
// How long writers wait for the room that a checkpoint does not make.
constexpr int64_t kPatience = 30 * kSecond;

}  // namespace

Task<Status> Composer::Flush() {
  const Visit visit(this);
  CO_RETURN_IF_ERROR(CheckOpen());
  const HopTimer timer(env_, &hops_, Hop::kFlush);
  const auto pass = co_await gate_.Enter();
  CO_RETURN_IF_ERROR(CheckOpen());
  co_return co_await FlushInsideGate();
}

// A flush may join only one that has not yet noted what it covers.
Task<Status> Composer::FlushInsideGate() {
  if (!map_->geometry().writable) co_return OkStatus();
  if (joinable_flush_) {
    const auto shared = joinable_flush_;
    co_await shared->done;
    co_return shared->status;
  }
  const auto mine = joinable_flush_ = std::make_shared<FlushRound>();
  {
    const auto lock = co_await flush_mutex_.Lock();
    co_await Yield{};  // Flushes of the same turn come along.
    joinable_flush_.reset();
    mine->status = co_await DoFlush();
  }
  mine->done.Set();
  co_return mine->status;
}

Task<Status> Composer::DoFlush() {
  CO_RETURN_IF_ERROR(co_await Failed());
  CO_RETURN_IF_ERROR(right_());
  const HopTimer timer(env_, &hops_, Hop::kSync);
  MakeLogIfWanted();
  CO_ASSIGN_OR_RETURN(const bool logged, co_await LogUnflushed());
  if (!logged) CO_RETURN_IF_ERROR(co_await SyncBlob(SyncFor::kFlush));
  CO_RETURN_IF_ERROR(co_await Failed());
  co_return right_();
}

Task<Status> Composer::FlushAll() {
  const auto pass = co_await gate_.Enter();
  CO_RETURN_IF_ERROR(CheckOpen());
  co_return co_await FlushAllInsideGate();
}

Task<Status> Composer::FlushAllInsideGate() {
  if (!map_->geometry().writable) co_return OkStatus();
  const auto lock = co_await flush_mutex_.Lock();
  CO_RETURN_IF_ERROR(co_await Failed());
  CO_RETURN_IF_ERROR(right_());
  CO_RETURN_IF_ERROR(co_await SyncBlob(SyncFor::kFlush));
  CO_RETURN_IF_ERROR(co_await Failed());
  co_return right_();
}

Task<Status> Composer::Pin(PinChange change) {
  const Visit visit(this);
  const auto lock = co_await pin_mutex_.Lock();
  const PinChange checkpoint;
  const PinChange* next = &change;
  bool at_limit = false;
  for (int attempt = 0;; ++attempt) {
    CO_RETURN_IF_ERROR(CheckOpen());
    CO_RETURN_IF_ERROR(co_await CheckWritable());
    CO_RETURN_IF_ERROR(right_());
    const Status prepared = co_await map_->PreparePin(*next);
    if (prepared.code() == Code::kFenced) co_return co_await Fail(prepared);
    CO_RETURN_IF_ERROR(prepared);
    // Most of the work, while others go on.
    if (!planted::Has(planted::Bug::kPinWithoutFlush)) CO_RETURN_IF_ERROR(co_await FlushAll());
    const int64_t before = env_->BootNs();
    co_await gate_.Close();
    const Status status = co_await PinInsideGate(*next);
    gate_.Open();
    last_gate_ns_ = env_->BootNs() - before;
    // What was prepared was used up by those who went on meanwhile.
    if (status.code() == Code::kConflict && attempt < kPinAttempts) continue;
    // What overwrites the sources that are too many may stand in the journal: then it is pinned
    // first, and folded when the next attempt is prepared.
    const bool at_once = status.code() == Code::kLimit && !std::exchange(at_limit, true);
    if (!at_once && (next == &change || !status.ok())) co_return status;
    next = at_once ? &checkpoint : &change;
  }
}

Task<void> Composer::PrepareToPin(PinChange change) {
  const Visit visit(this);
  const auto lock = co_await pin_mutex_.Lock();
  if (!CheckOpen().ok() || !(co_await CheckWritable()).ok() || !right_().ok()) co_return;
  if (!(co_await map_->PreparePin(change)).ok()) co_return;
  if (!planted::Has(planted::Bug::kPinWithoutFlush)) (void)co_await FlushAll();
}

Task<Status> Composer::PinInsideGate(const PinChange& change) {
  if (!planted::Has(planted::Bug::kPinWithoutFlush))
    CO_RETURN_IF_ERROR(co_await FlushAllInsideGate());
  const uint64_t size = map_->geometry().size;
  if (change.new_size && *change.new_size < size) {
    CO_RETURN_IF_ERROR(co_await CheckZero({*change.new_size, size - *change.new_size}));
  }
  const Status status = co_await map_->Pin(change);
  // Fenced; or the header has changed, or may have: what was the current blob is frozen then, and
  // what would be put behind the pinned end of the journal is never looked at.
  if (!status.ok() && !RefusedPin(status)) co_return co_await Fail(status);
  co_return status;
}

// A range that is to be cut off was zeroed, and somebody may have written to it since. Its whole
// sub-grains are zero in the map; what it has of the one before them must read as zeros.
Task<Status> Composer::CheckZero(ByteRange range) {
  MapPieces pieces;
  CO_RETURN_IF_ERROR(co_await Translate(range, &pieces));
  Status written(Code::kBusy, map_->geometry().name + " is being written to");
  for (MapPiece& piece : pieces) {
    if (piece.kind == PieceKind::kZero) continue;
    const uint64_t edge = std::min(AlignUp(range.offset, kSubGrain), range.end());
    if (piece.range.end() > edge) co_return written;
    const Buffer buffer = co_await grains_.Get(piece.range.length);
    Status status;
    co_await ReadPiece(piece, buffer.span(), &status);
    CO_RETURN_IF_ERROR(status);
    for (const std::byte byte : buffer.span()) {
      if (byte != std::byte{0}) co_return written;
    }
  }
  co_return OkStatus();
}

void Composer::CheckpointIfWanted() {
  if (checkpoint_scheduled_ || closing_ || !map_->wants_pin()) return;
  checkpoint_scheduled_ = true;
  background_.Run(Checkpoint());
}

Task<void> Composer::Checkpoint() {
  // The gate is closed to pin, so this must not run inside of the request that asked for it.
  co_await Yield{};
  const PinChange change;
  int64_t began_ns = env_->BootNs();  // The last attempt.
  Status status = co_await Pin(change);
  if (!status.ok() && failed_.ok() && !closing_) {
    spdlog::warn("{}: a checkpoint is tried again: {}", map_->geometry().name, status.ToString());
  }
  // Nothing has failed and nothing has changed, and what was in the way may go: somebody makes
  // space, the store is back, this node has its lease again.
  int64_t refused_since_ns = env_->BootNs();
  for (int64_t pause = kFirstPause; !status.ok() && failed_.ok() && !closing_;
       pause = std::min(2 * pause, kLastIdlePause)) {
    // Without its lease the node does nothing, and says so to all who come.
    if (status.code() == Code::kFenced) refused_since_ns = env_->BootNs();
    // An attempt has to begin behind it, however long one takes.
    const int64_t waited_ns = began_ns - std::max(refused_since_ns, room_awaited_since_ns_);
    if (room_awaited_since_ns_ != 0 && waited_ns >= kPatience) {
      (void)co_await Fail(status.With("checkpoint"));  // Better that they hear why.
      break;
    }
    co_await retry_.Sleep(std::min(pause, kLastPause));
    if (pause > kLastPause && room_awaited_since_ns_ == 0 && !closing_) {
      idling_ = true;  // Whoever begins to wait for room rings.
      co_await retry_.Sleep(pause - kLastPause);
      idling_ = false;
    }
    if (closing_ || !map_->wants_pin()) break;  // A snapshot has made the room, or a resize.
    began_ns = env_->BootNs();
    status = co_await Pin(change);
  }
  checkpoint_scheduled_ = false;
}

// The end of a journal that no header knows cannot be told from what a crash leaves, so damage to
// it would be taken for that. If this fails nothing is lost: the next open reads the journal.
Task<void> Composer::PinAtClose() {
  if (!map_->geometry().writable || (map_->position() == 0 && !log_)) co_return;
  const PinChange last{.ends_opening = true};
  Status status = co_await map_->PreparePin(last);
  if (status.ok()) status = right_();
  if (status.ok()) status = co_await map_->Pin(last);
  if (!status.ok()) {
    spdlog::debug("{}: its journal was not pinned at its end: {}", map_->geometry().name,
                  status.ToString());
  }
}

Task<Status> Composer::Close() {
  closing_ = true;
  retry_.Ring();
  co_await background_.Join();
  Status status;
  {
    // A pin has the gate closed for a while: it comes to its end first.
    const auto lock = co_await pin_mutex_.Lock();
    co_await gate_.Close();
    status = co_await FlushAllInsideGate();
    if (status.ok()) co_await PinAtClose();
    if (log_ && map_->header().opening == 0) co_await DropLog(log_->log());
    if (unrecorded_) co_await Record();  // The store may be back.
    closed_ = true;
    // Who waits for room in the journal or for the gate hears of it.
    if (visitors_ > 0 && read_only_reason().empty()) map_->Abandon("it is closed");
    gate_.Open();
  }
  while (visitors_ > 0) co_await left_;
  const Status closed = co_await map_->Close();
  co_return status.ok() ? closed : status;
}

}  // namespace atl
