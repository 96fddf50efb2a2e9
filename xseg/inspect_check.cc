// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "xseg/base/stamp_clock.h"
#include "xseg/block_pool.h"
#include "xseg/doorbell.h"
#include "xseg/inspect.h"

namespace atl {
namespace {

class Checker {
 public:
  Checker(const Segment& segment, const InspectOptions& options)
      : segment_(segment), options_(options), now_ns_(StampNowNs()) {}

  std::vector<std::string> Run() {
    for (PortIndex i = 0; i < segment_.geometry().ports; ++i) CheckPort(i);
    for (SlotIndex i = 0; i < segment_.slot_count(); ++i) CheckSlot(i);
    for (int c = 0; c < kBlockClasses; ++c) CheckBlocks(c);
    return std::move(findings_);
  }

 private:
  template <typename... Args>
  void Report(fmt::format_string<Args...> format, Args&&... args) {
    if (findings_.size() >= options_.limit) return;
    findings_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  PortState StateOf(PortIndex port) const { return segment_.port(port).LoadControl().state; }
  bool IsOld(int64_t stamp_ns) const {
    return stamp_ns >= 0 && stamp_ns <= now_ns_ && now_ns_ - stamp_ns > options_.stuck_after_ns;
  }

  void CheckPort(PortIndex index) {
    const PortRecord& record = segment_.port(index);
    const PortState state = record.LoadControl().state;
    if (static_cast<int>(state) >= kPortStates) {
      Report("port {} is in state {}, which is none", index, static_cast<int>(state));
      return;
    }
    if (record.hot.sleeping.load(std::memory_order_relaxed) >
        static_cast<uint32_t>(Sleep::kEvent)) {
      Report("port {} sleeps in a way that there is not", index);
    }
    if (state != PortState::kActive) return;
    const std::string name = record.LoadName();
    if (name.empty()) Report("port {} is active and has no name", index);
    for (PortIndex other = 0; other < index; ++other) {
      if (StateOf(other) == PortState::kActive && segment_.port(other).LoadName() == name) {
        Report("ports {} and {} have the same name '{}'", other, index, name);
      }
    }
    if (options_.look_at_processes && !IsAlive(record.owner())) {
      Report("port {} '{}' belongs to process {}, which is dead", index, name, record.owner().pid);
    }
  }

  void CheckSlot(SlotIndex index) {
    const SlotRecord& slot = segment_.slot(index);
    const SlotWord word = slot.LoadWord();
    if (static_cast<int>(word.state) >= kSlotStates) {
      Report("slot {} is in state {}, which is none", index, static_cast<int>(word.state));
      return;
    }
    if (word.state == SlotState::kFree) return;
    const PortIndex owner = segment_.owner_of(index);
    if (StateOf(owner) == PortState::kFree) {
      Report("slot {} is {}, and its port {} is free", index, NameOf(word.state), owner);
    }
    if (slot.argument_bytes.Load() > kInlineArgumentBytes) {
      Report("slot {} has {} bytes of arguments", index, slot.argument_bytes.Load());
    }
    const BufferRef buffer{slot.buffer_offset.Load(), slot.buffer_length.Load()};
    if (!buffer.FitsIn(segment_.area().size())) {
      Report("slot {} refers to a buffer outside of the area", index);
    }
    if (word.state == SlotState::kPrepared) return;
    CheckHolder(index, word, IsOld(slot.submitted_ns.Load()));
  }

  void CheckHolder(SlotIndex index, const SlotWord& word, bool old) {
    if (word.holder >= segment_.geometry().ports) {
      Report("slot {} is held by port {}, which is none", index, word.holder);
      return;
    }
    if (!old || word.state == SlotState::kAnswered) return;
    if (StateOf(word.holder) == PortState::kFree) {
      Report("slot {} is {} at port {}, which is free", index, NameOf(word.state), word.holder);
    }
    const HotLine& hot = segment_.port(word.holder).hot;
    const PortIndex owner = segment_.owner_of(index);
    const bool posted = (hot.arrivals.load(std::memory_order_relaxed) >> owner & 1) != 0 &&
                        segment_.mailbox({.to = word.holder, .from = owner})
                            .Has(index - segment_.first_slot(owner));
    const bool announced =
        posted || hot.express_request.load(std::memory_order_relaxed) == index + 1ull;
    const bool asleep = hot.sleeping.load(std::memory_order_relaxed) != 0;
    if (word.state == SlotState::kSubmitted && announced && asleep &&
        segment_.slot(index).LoadWord() == word) {
      Report("port {} sleeps, although slot {} was announced to it", word.holder, index);
    }
  }

  void CheckBlocks(int block_class) {
    const auto words = segment_.block_words(block_class);
    for (size_t i = 0; i < words.size(); ++i) {
      const uint32_t raw = words[i].load(std::memory_order_relaxed);
      if (raw == 0) continue;
      const BlockWord block = BlockWord::Unpack(raw);
      if (block.Pack() != raw || block.use > BlockUse::kCached ||
          block.owner >= segment_.geometry().ports) {
        Report("block {} of {} bytes has a word that makes no sense: {:#x}", i,
               kBlockBytes[block_class], raw);
      } else if (StateOf(block.owner) == PortState::kFree) {
        Report("block {} of {} bytes belongs to port {}, which is free", i,
               kBlockBytes[block_class], block.owner);
      }
    }
  }

  const Segment& segment_;
  const InspectOptions& options_;
  int64_t now_ns_;
  std::vector<std::string> findings_;
};

}  // namespace

std::vector<std::string> CheckSegment(const Segment& segment, const InspectOptions& options) {
  return Checker(segment, options).Run();
}

}  // namespace atl
