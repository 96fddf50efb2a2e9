// SPDX-License-Identifier: Apache-2.0
#include "peers/ops.h"

#include <algorithm>
#include <array>

namespace atl {
namespace {

struct OpName {
  Op op;
  std::string_view name;
};

constexpr std::array<OpName, ControlOps::kSize> kNames = {{
    {Op::kCreate, "create"},
    {Op::kSnapshot, "snapshot"},
    {Op::kShow, "show"},
    {Op::kList, "list"},
    {Op::kResize, "resize"},
    {Op::kRename, "rename"},
    {Op::kRemove, "remove"},
    {Op::kRollback, "rollback"},
    {Op::kAcquire, "acquire"},
    {Op::kRelease, "release"},
    {Op::kGetLock, "get-lock"},
    {Op::kBreakLock, "break-lock"},
    {Op::kStores, "stores"},
    {Op::kCollectGarbage, "collect-garbage"},
    {Op::kStats, "stats"},
    {Op::kCheck, "check"},
    {Op::kScrub, "scrub"},
    {Op::kOpen, "open"},
    {Op::kCloseDevice, "close-device"},
    {Op::kRead, "read"},
    {Op::kWrite, "write"},
    {Op::kFlush, "flush"},
    {Op::kDiscard, "discard"},
    {Op::kWriteZeroes, "write-zeroes"},
    {Op::kExtents, "extents"},
    {Op::kPrefetch, "prefetch"},
    {Op::kDeviceInfo, "device-info"},
    {Op::kWriteSparse, "write-sparse"},
    {Op::kNodeStatus, "node-status"},
    {Op::kNodeStop, "node-stop"},
    {Op::kRestartPeer, "restart-peer"},
    {Op::kReport, "report"},
}};

template <typename... Ops>
constexpr bool RowsFollow(OpList<Ops...>) {
  size_t row = 0;
  return ((kNames[row++].op == Ops::Wire::kOp) && ...);
}
static_assert(RowsFollow(ControlOps{}), "one name for each operation, in the order of the list");

constexpr bool NumbersAscend() {
  return std::ranges::adjacent_find(
             kNames, [](const OpName& a, const OpName& b) { return a.op >= b.op; }) == kNames.end();
}
static_assert(NumbersAscend(), "a number is used once");

}  // namespace

std::string NameOf(Op op) {
  const auto row = std::ranges::find(kNames, op, &OpName::op);
  if (row != kNames.end()) return std::string(row->name);
  return "operation " + std::to_string(static_cast<int>(op));
}

}  // namespace atl
