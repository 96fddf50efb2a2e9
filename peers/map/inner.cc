// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>

#include "peers/map/node_header.h"

namespace atl {
namespace {

// The uniform child that stands most often; zero if there is no uniform child.
NodePointer CommonestUniform(const Inner& inner) {
  std::array<uint64_t, kFanout> sorted;
  size_t count = 0;
  for (const NodePointer child : inner.children) {
    if (!child.is_node()) sorted[count++] = child.raw();
  }
  std::sort(sorted.begin(), sorted.begin() + count);
  uint64_t best = 0;
  size_t best_run = 0;
  for (size_t i = 0, begin = 0; i < count; ++i) {
    if (sorted[i] != sorted[begin]) begin = i;
    if (i - begin + 1 > best_run) {
      best_run = i - begin + 1;
      best = sorted[i];
    }
  }
  return NodePointer::FromRaw(best);
}

}  // namespace

NodePointer NodePointer::Node(SourceIndex blob, uint64_t offset) {
  CHECK(blob != kZeroSource) << "source 0 is no node blob";
  CHECK(offset < 1ull << 47) << "offset " << offset << " in a node blob";
  return NodePointer(1ull << 63 | uint64_t{blob} << 47 | offset);
}

bool IsUniform(const Inner& inner, SourceIndex* source) {
  const NodePointer first = inner.children[0];
  if (first.is_node()) return false;
  const auto differs = [&](NodePointer other) { return other != first; };
  if (std::any_of(inner.children.begin(), inner.children.end(), differs)) return false;
  *source = first.source();
  return true;
}

void EncodeInner(const Inner& inner, int level, uint64_t first, const NodePlace& place,
                 Encoder* out) {
  CHECK(level > 0 && level <= kTopLevel) << "level " << level;
  const NodePointer common = CommonestUniform(inner);
  uint64_t bitmap = 0;
  for (size_t i = 0; i < kFanout; ++i) {
    CHECK(inner.children[i].is_valid()) << "child " << i;
    if (inner.children[i] != common) bitmap |= 1ull << i;
  }
  const size_t start = out->size();
  const auto length = static_cast<uint16_t>(kNodeHeaderBytes + 16 + 8 * std::popcount(bitmap));
  PutNodeHeader(out, {NodeForm::kInner, static_cast<uint8_t>(level), length, first});
  out->Put(common.raw());
  out->Put(bitmap);
  for (const NodePointer child : inner.children) {
    if (child != common) out->Put(child.raw());
  }
  FinishNode(out, start, place);
}

Result<Inner> DecodeInner(ConstSpan bytes, int level, uint64_t first, const NodePlace& place) {
  Decoder body({});
  ASSIGN_OR_RETURN(const NodeHeader header, OpenNode(bytes, level, first, place, &body));
  if (header.form != NodeForm::kInner) return BadNode(place, "it is a leaf");
  const NodePointer common = NodePointer::FromRaw(body.Get<uint64_t>());
  if (common.is_node() || !common.is_valid()) return BadNode(place, "its default is no source");
  const auto bitmap = body.Get<uint64_t>();
  if (body.remaining() != 8 * static_cast<size_t>(std::popcount(bitmap))) {
    return BadNode(place, "its children do not fill its bytes exactly");
  }
  Inner inner;
  for (size_t i = 0; i < kFanout; ++i) {
    inner.children[i] = common;
    if ((bitmap >> i & 1) == 0) continue;
    const NodePointer child = NodePointer::FromRaw(body.Get<uint64_t>());
    const bool in_no_blob = child.is_node() && child.blob() == kZeroSource;
    if (!child.is_valid() || child == common || in_no_blob) {
      return BadNode(place, "a child is impossible");
    }
    inner.children[i] = child;
  }
  return inner;
}

}  // namespace atl
