// SPDX-License-Identifier: Apache-2.0
#include "kernel/local/call.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

namespace atl::local {
namespace {

struct OpRow {
  uint16_t op;
  uint16_t flags;  // That there may be.
  bool has_range;
  bool has_buffer;
  bool changes;
};
constexpr std::array<OpRow, kLastOp + 1> kRows = {{
    {0, 0, false, false, false},
    {kOpRead, 0, true, true, false},
    {kOpWrite, kFlagFua, true, true, true},
    {kOpFlush, 0, false, false, false},
    {kOpDiscard, kFlagFua, true, false, true},
    {kOpWriteZeroes, kFlagFua | kFlagNoHole | kFlagFastOnly, true, false, true},
}};

constexpr bool RowsStandAtTheirOps() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].op != i) return false;
  }
  return true;
}
static_assert(RowsStandAtTheirOps());

Status Invalid(std::string text) { return {Code::kInvalid, std::move(text)}; }

}  // namespace

Result<Call> JudgeCall(uint16_t op, uint16_t flags, ConstSpan arguments, MutSpan buffer,
                       bool read_only) {
  if (op == 0 || op > kLastOp) return Invalid(fmt::format("there is no operation {}", op));
  const OpRow& row = kRows[op];
  if ((flags & ~row.flags) != 0) return Invalid(fmt::format("flags {:#x} make no sense", flags));
  if (arguments.size() != (row.has_range ? sizeof(RangeArguments) : 0)) {
    return Invalid(fmt::format("operation {} with {} bytes of arguments", op, arguments.size()));
  }
  if (!row.has_buffer && !buffer.empty()) {
    return Invalid(fmt::format("operation {} has no buffer", op));
  }
  Call call{.op = op, .flags = flags, .buffer = buffer};
  if (row.has_range) {
    RangeArguments range;
    std::memcpy(&range, arguments.data(), sizeof(range));
    if (range.offset > kMaxVolumeSize || range.length > kMaxVolumeSize) {
      return Invalid(
          fmt::format("{} bytes at {} are inside of no volume", range.length, range.offset));
    }
    call.range = {range.offset, range.length};
  }
  if (row.has_buffer && call.range.length != buffer.size()) {
    return Invalid(fmt::format("{} bytes are asked for, with a buffer of {}", call.range.length,
                               buffer.size()));
  }
  if (row.changes && read_only) return Status(Code::kReadOnly, "it is open for reading only");
  return call;
}

}  // namespace atl::local
