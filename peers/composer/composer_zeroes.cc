// SPDX-License-Identifier: Apache-2.0
//
// Writes of which parts are zeros that need not be stored.
#include "peers/composer/passage.h"

namespace atl {
namespace {

// Each run makes one commit, and one more if it is zeros that begin or end within a sub-grain,
// which only the ends of the write do.
uint32_t RoomsFor(const WriteRuns& runs) {
  const auto commits = static_cast<uint32_t>(runs.size()) + 2;
  return (commits + kCommitsAdmitted - 1) / kCommitsAdmitted;
}

}  // namespace

// Runs have no sub-grain in common, so they need no order among themselves; to others they are one
// request, since its range is held until all of them have ended.
Task<Status> Composer::DoWriteRuns(const WriteRuns& runs, uint64_t offset, ConstSpan data,
                                   bool fua) {
  CO_RETURN_IF_ERROR(co_await CheckWritable());
  {
    Passage passage(this, {offset, data.size()}, RangeMode::kExclusive, RoomsFor(runs));
    CO_RETURN_IF_ERROR(co_await passage.Enter());
    CO_RETURN_IF_ERROR(co_await CheckWritable());
    Status outcome;
    TaskGroup group;
    for (const WriteRun& run : runs) {
      const ConstSpan part = data.subspan(run.range.offset - offset, run.range.length);
      group.Run(WriteRunHeld(run, part, &outcome));
    }
    co_await group.Join();
    CO_RETURN_IF_ERROR(outcome);
    CO_RETURN_IF_ERROR(co_await Failed());
    CO_RETURN_IF_ERROR(right_());
  }
  if (fua) co_return co_await Flush();
  co_return OkStatus();
}

Task<void> Composer::WriteRunHeld(WriteRun run, ConstSpan data, Status* outcome) {
  Status status;
  if (run.zero) {
    status = co_await ZeroRunHeld(run.range);
  } else {
    bool durable = false;
    status = co_await WriteHeld(run.range.offset, data, false, &durable);
  }
  if (!status.ok()) *outcome = status;
}

// What the map calls zero already costs nothing, wherever the run has it at its ends.
Task<Status> Composer::ZeroRunHeld(ByteRange run) {
  MapPieces pieces;
  CO_RETURN_IF_ERROR(co_await Translate(run, &pieces));
  ByteRange range;
  for (const MapPiece& piece : pieces) {
    if (piece.kind == PieceKind::kZero) continue;
    if (range.empty()) range = piece.range;
    range.length = piece.range.end() - range.offset;
  }
  if (range.empty()) co_return OkStatus();
  co_return co_await ZeroHeld(range, {});
}

}  // namespace atl
