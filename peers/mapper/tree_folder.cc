// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/tree_folder.h"

#include <utility>

namespace atl {
namespace {

constexpr size_t kGather = 1 * kMiB;
// Nodes handled between two yields: some tens of microseconds.
constexpr uint64_t kStepsPerBreath = 64;

}  // namespace

Task<Status> NodeWriter::Flush() {
  if (out_.size() == 0) co_return OkStatus();
  Bytes bytes = std::exchange(out_, Encoder()).Take();
  const Status stored = co_await store_->Append(log_, position_, bytes);
  if (stored.ok()) {
    position_ += bytes.size();
  } else {
    doubtful_ = std::move(bytes);
  }
  co_return stored;
}

Task<Status> NodeWriter::FlushIfLarge() {
  if (out_.size() < kGather) co_return OkStatus();
  co_return co_await Flush();
}

void TreeFolder::Count(SourceIndex source, int64_t change) {
  if (source != kZeroSource) counts_[source] += change;
}

Task<Status> TreeFolder::Breathe() {
  if (++steps_ % kStepsPerBreath == 0) co_await Yield{};
  co_return co_await writer_->FlushIfLarge();
}

Task<Result<NodePointer>> TreeFolder::Fold() {
  if (changes_->empty()) co_return tree_->top();
  co_return co_await FoldNode(tree_->top(), kTopLevel, 0);
}

Task<Result<NodePointer>> TreeFolder::FoldNode(NodePointer old, int level, uint64_t first) {
  CO_RETURN_IF_ERROR(co_await Breathe());
  if (level == 0) co_return co_await FoldLeaf(old, first);
  Inner inner;
  if (old.is_node()) {
    CO_ASSIGN_OR_RETURN(inner, co_await tree_->GetInner(old, level, first));
  } else {
    inner.children.fill(old);
  }
  const uint64_t span = SpanOf(level - 1);
  const uint64_t end = first + SpanOf(level);
  GrainRun run;
  for (uint64_t at = first; at < end && changes_->FirstAfter(at, &run);) {
    at = AlignDown(std::max(at, run.range.first), span);
    if (at >= end) break;
    NodePointer& child = inner.children[ChildOf(at, level)];
    const bool covered = run.range.first <= at && at + span <= run.range.end();
    if (covered) {
      CO_RETURN_IF_ERROR(co_await Retire(child, level - 1, at));
      child = NodePointer::Uniform(run.source);
      Count(run.source, static_cast<int64_t>(span));
    } else {
      CO_ASSIGN_OR_RETURN(child, co_await FoldNode(child, level - 1, at));
    }
    at += span;
  }
  for (uint64_t i = 0; rewrite_all_ && i < kFanout; ++i) {
    NodePointer& child = inner.children[i];
    if (!child.is_node() || IsNew(child)) continue;
    CO_ASSIGN_OR_RETURN(child, co_await FoldNode(child, level - 1, first + i * span));
  }
  if (old.is_node()) Count(old.blob(), -1);
  SourceIndex source;
  if (IsUniform(inner, &source)) co_return NodePointer::Uniform(source);
  const NodePointer pointer = writer_->pointer();
  EncodeInner(inner, level, first, writer_->place(), writer_->out());
  Count(writer_->index(), 1);
  co_return pointer;
}

Task<Result<NodePointer>> TreeFolder::FoldLeaf(NodePointer old, uint64_t first) {
  Leaf leaf;
  if (old.is_node()) {
    CO_ASSIGN_OR_RETURN(leaf, co_await tree_->GetLeaf(old, first));
    Count(old.blob(), -1);
  } else {
    leaf.sources.fill(old.source());
  }
  std::vector<GrainRun> runs;
  changes_->Find({first, kLeafGrains}, &runs);
  for (const GrainRun& run : runs) {
    for (uint64_t grain = run.range.first; grain < run.range.end(); ++grain) {
      SourceIndex& source = leaf.sources[grain - first];
      Count(source, -1);
      source = run.source;
      Count(source, 1);
    }
  }
  SourceIndex source;
  if (IsUniform(leaf, &source)) co_return NodePointer::Uniform(source);
  const NodePointer pointer = writer_->pointer();
  EncodeLeaf(leaf, first, writer_->place(), writer_->out());
  Count(writer_->index(), 1);
  co_return pointer;
}

Task<Status> TreeFolder::Retire(NodePointer pointer, int level, uint64_t first) {
  if (!pointer.is_node()) {
    Count(pointer.source(), -static_cast<int64_t>(SpanOf(level)));
    co_return OkStatus();
  }
  CO_RETURN_IF_ERROR(co_await Breathe());
  Count(pointer.blob(), -1);
  if (level == 0) {
    CO_ASSIGN_OR_RETURN(const Leaf leaf, co_await tree_->GetLeaf(pointer, first));
    for (const SourceIndex source : leaf.sources) Count(source, -1);
    co_return OkStatus();
  }
  CO_ASSIGN_OR_RETURN(const Inner inner, co_await tree_->GetInner(pointer, level, first));
  const uint64_t span = SpanOf(level - 1);
  for (uint64_t child = 0; child < kFanout; ++child) {
    CO_RETURN_IF_ERROR(co_await Retire(inner.children[child], level - 1, first + child * span));
  }
  co_return OkStatus();
}

}  // namespace atl
