// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/transmission.h"

#include <algorithm>

#include "kernel/nbd/limits.h"
#include "kernel/nbd/wire.h"

namespace atl::nbd {
namespace {

struct CommandRow {
  unsigned flags;       // Those that the command allows.
  bool writes;          // Refused on a read-only export.
  bool payload;         // Its length counts against the maximum payload.
  Error out_of_bounds;  // "Error values".
};

// "Command flags": FUA is valid for all commands.
constexpr CommandRow kCommands[] = {
    {kCmdFlagFua | kCmdFlagDf, false, true, kEinval},                         // READ
    {kCmdFlagFua, true, true, kEnospc},                                       // WRITE
    {kCmdFlagFua, false, false, kEinval},                                     // DISC
    {kCmdFlagFua, false, false, kEinval},                                     // FLUSH
    {kCmdFlagFua, true, false, kEinval},                                      // TRIM
    {kCmdFlagFua, false, false, kEinval},                                     // CACHE
    {kCmdFlagFua | kCmdFlagNoHole | kCmdFlagFastZero, true, false, kEnospc},  // WRITE_ZEROES
    {kCmdFlagFua | kCmdFlagReqOne, false, false, kEinval},                    // BLOCK_STATUS
};

bool InBounds(const Request& request, uint64_t size) {
  return request.offset <= size && request.length <= size - request.offset;
}

std::optional<Refusal> JudgeSpecial(const Request& request, const ExportView& view) {
  if (request.type == kCmdFlush && (request.offset != 0 || request.length != 0)) {
    return Refusal{kEinval, "FLUSH has neither offset nor length"};
  }
  if (request.type == kCmdBlockStatus) {
    if (!view.block_status) return Refusal{kEinval, "no metadata context was selected"};
    if (request.length == 0) return Refusal{kEinval, "block status of nothing"};
  }
  return std::nullopt;
}

Request Parse(ConstSpan in) {
  return {.flags = LoadBe<uint16_t>(in.data() + 4),
          .type = LoadBe<uint16_t>(in.data() + 6),
          .cookie = LoadBe<uint64_t>(in.data() + 8),
          .offset = LoadBe<uint64_t>(in.data() + 16),
          .length = LoadBe<uint32_t>(in.data() + 24)};
}

// False at the first byte that no request begins with.
bool BeginsLikeARequest(ConstSpan in) {
  if (in.size() >= 4) return LoadBe<uint32_t>(in.data()) == kRequestMagic;
  for (size_t i = 0; i < in.size(); ++i) {
    const auto expected = static_cast<std::byte>(kRequestMagic >> (24 - 8 * i));
    if (in[i] != expected) return false;
  }
  return true;
}

}  // namespace

std::optional<Refusal> Judge(const Request& request, const ExportView& view) {
  if (request.type >= std::size(kCommands)) return Refusal{kEinval, "an unknown command"};
  const CommandRow& row = kCommands[request.type];
  unsigned allowed = row.flags;
  if (!view.structured) allowed &= ~static_cast<unsigned>(kCmdFlagDf);
  if ((request.flags & ~allowed) != 0) {
    return Refusal{kEinval, "a flag that the command does not have"};
  }
  if (row.writes && view.read_only) return Refusal{kEperm, "the export is read-only"};
  if (auto refusal = JudgeSpecial(request, view)) return refusal;
  if (!InBounds(request, view.size)) {
    return Refusal{row.out_of_bounds, "beyond the end of the export", true};
  }
  if (row.payload && request.length > kMaxPayload) {
    // "Error values": EOVERFLOW only where DF is supported, and only for a read.
    const bool overflow = request.type == kCmdRead && view.structured;
    return Refusal{overflow ? kEoverflow : kEinval, "more than the maximum payload of 32 MiB"};
  }
  return std::nullopt;
}

RequestReader::Step RequestReader::Next(ConstSpan in, const ExportView& view) {
  if (skip_ > 0) return Skip(in);
  if (!BeginsLikeARequest(in)) return {.kind = Step::kNonsense};
  if (in.size() < kRequestBytes) return {};
  const Request request = Parse(in);
  if (request.type == kCmdDisc) return {.kind = Step::kDisconnect, .consumed = kRequestBytes};
  const auto refusal = Judge(request, view);
  if (!refusal) {
    if (request.type == kCmdWrite) return OnWrite(in, request);
    return {.kind = Step::kExecute, .consumed = kRequestBytes, .request = request};
  }
  if (refusal->beyond && view.size_may_be_old) return {.kind = Step::kBeyond};
  if (request.type == kCmdWrite && request.length > 0) {
    refused_ = request;
    refusal_ = *refusal;
    skip_ = request.length;
    Step step = Skip(in.subspan(kRequestBytes));
    step.consumed += kRequestBytes;
    return step;
  }
  return {
      .kind = Step::kRefuse, .consumed = kRequestBytes, .request = request, .refusal = *refusal};
}

RequestReader::Step RequestReader::OnWrite(ConstSpan in, const Request& request) {
  const ConstSpan behind = in.subspan(kRequestBytes);
  if (behind.size() < std::min<size_t>(request.length, kSmallPayload)) return {};
  const ConstSpan payload = behind.first(std::min<size_t>(request.length, behind.size()));
  return {.kind = Step::kExecute,
          .consumed = kRequestBytes + payload.size(),
          .request = request,
          .payload = payload};
}

RequestReader::Step RequestReader::Skip(ConstSpan in) {
  const size_t used = std::min<size_t>(skip_, in.size());
  skip_ -= static_cast<uint32_t>(used);
  if (skip_ > 0) return {.consumed = used};
  return {.kind = Step::kRefuse, .consumed = used, .request = refused_, .refusal = refusal_};
}

}  // namespace atl::nbd
