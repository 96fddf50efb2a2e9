// SPDX-License-Identifier: Apache-2.0
#include "peers/format/write_log_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace atl {

WriteLogReader::WriteLogReader(const BlobId& log, uint32_t opening, std::array<uint64_t, 2> lengths)
    : log_(log), opening_(opening), budget_(2 * (lengths[0] + lengths[1])) {
  for (size_t i = 0; i < 2; ++i) {
    halves_[i].length = std::min(AlignDown(lengths[i], kWriteLogPage), kWriteLogHalf);
  }
  if (halves_[0].length == 0) NextStep();
}

ByteRange WriteLogReader::wants() const {
  if (step_ == Step::kDone) return {};
  const uint64_t left = halves_[half()].length - position_;
  return {half() * kWriteLogHalf + position_, std::min<uint64_t>(left, kMostBytes)};
}

void WriteLogReader::Take(ConstSpan bytes) {
  CHECK(bytes.size() == wants().length);
  const bool in_chain = step_ == Step::kFirstChain || step_ == Step::kSecondChain;
  const size_t done = in_chain ? TakeChain(bytes) : TakeRest(bytes);
  position_ += done;
  const bool chain_ends = in_chain && done == 0;
  if (chain_ends || lost_ || !unreadable_.ok() || position_ == halves_[half()].length) NextStep();
}

void WriteLogReader::NextStep() {
  if (lost_ || !unreadable_.ok()) {
    step_ = Step::kDone;
    return;
  }
  for (bool skip = true; skip && step_ != Step::kDone;) {
    step_ = static_cast<Step>(static_cast<uint8_t>(step_) + 1);
    if (step_ == Step::kDone) return;
    const Half& half = halves_[this->half()];
    const bool is_rest = step_ != Step::kSecondChain;
    position_ = is_rest ? half.end : 0;
    // Behind a half that is whole there is only what is older.
    skip = position_ == half.length || (is_rest && this->half() != newer() && IsWhole());
  }
}

size_t WriteLogReader::TakeChain(ConstSpan bytes) {
  Half& half = halves_[this->half()];
  size_t done = 0;
  while (done < bytes.size()) {
    const auto next = DecodeWriteLogRecord(log_, bytes.subspan(done));
    if (next.code() == Code::kUnsupported) unreadable_ = next.status();
    // It may only be cut off: then it is seen as a whole the next time.
    if (!next.ok() || next->record.opening != opening_) break;
    PlacedRecord placed{.record = next->record,
                        .at = this->half() * kWriteLogHalf + position_ + done,
                        .size = next->size(),
                        .checksum = next->checksum};
    if (!half.chain.empty() && !Follows(placed, half.chain.back())) break;
    last_ = std::max(last_, placed.record.sequence);
    done += placed.size;
    half.end = position_ + done;
    half.chain.push_back(std::move(placed));
  }
  return done;
}

// Whether behind the end of a chain there is a record that was made after the next one: that one
// was durable then, and the medium has lost it.
size_t WriteLogReader::TakeRest(ConstSpan bytes) {
  const bool is_all = position_ + bytes.size() == halves_[half()].length;
  for (size_t at = 0; at < bytes.size(); at += kWriteLogPage) {
    const ConstSpan rest = bytes.subspan(at);
    if (!MayBeLater(rest)) continue;
    const uint64_t length = ClaimedLength(rest);
    if (budget_ < length) return bytes.size();
    // It is cut off: the next piece begins with it.
    if (length > rest.size() && at > 0 && !is_all) return at;
    budget_ -= length;
    const auto found = DecodeWriteLogRecord(log_, rest);
    lost_ = found.ok() && found->record.opening == opening_ && found->record.sequence > last_;
    if (lost_) break;
  }
  return bytes.size();
}

// By what is cheap to see.
bool WriteLogReader::MayBeLater(ConstSpan page) const {
  const uint64_t claimed = ClaimedSequence(page, opening_);
  // Each record takes a page at least.
  constexpr uint64_t kMostAhead = 2 * kWriteLogHalf / kWriteLogPage;
  return claimed > last_ && (last_ == 0 || claimed - last_ <= kMostAhead);
}

size_t WriteLogReader::newer() const {
  const auto& [first, second] = halves_;
  if (first.chain.empty() || second.chain.empty()) return first.chain.empty() ? 1 : 0;
  return second.chain.front().record.sequence > first.chain.front().record.sequence ? 1 : 0;
}

bool WriteLogReader::Follows(const PlacedRecord& next, const PlacedRecord& before) const {
  return next.record.sequence == before.record.sequence + 1 &&
         next.record.previous == before.checksum;
}

bool WriteLogReader::IsWhole() const {
  const Half& newer = halves_[this->newer()];
  const Half& older = halves_[1 - this->newer()];
  return !newer.chain.empty() && !older.chain.empty() &&
         Follows(newer.chain.front(), older.chain.back());
}

Result<std::vector<PlacedRecord>> WriteLogReader::Live() const {
  CHECK(step_ == Step::kDone);
  const std::string name = "write log of " + log_.ToString();
  if (!unreadable_.ok()) return unreadable_.With(name);
  const auto bad = [&name](uint64_t first, uint64_t last) {
    return Status(Code::kCorrupt,
                  fmt::format("{}: records {} to {} have been lost", name, first, last));
  };
  if (lost_) return bad(last_ + 1, last_ + 1);
  std::vector<PlacedRecord> live;
  if (last_ == 0) return live;
  const Half& newer = halves_[this->newer()];
  const Half& older = halves_[1 - this->newer()];
  const uint64_t live_from = newer.chain.back().record.live_from;
  uint64_t first = newer.chain.front().record.sequence;
  if (live_from < first && IsWhole()) {
    first = older.chain.front().record.sequence;
    live = older.chain;
  }
  if (live_from < first) return bad(live_from, first - 1);
  live.insert(live.end(), newer.chain.begin(), newer.chain.end());
  std::erase_if(live, [live_from](const PlacedRecord& placed) {
    return placed.record.sequence < live_from || placed.record.runs.empty();
  });
  return live;
}

}  // namespace atl
