// SPDX-License-Identifier: Apache-2.0
//
// A mailbox is a bitmap over the sender's request slots (docs/LAYOUT.md, "Mailbox"). There is one
// for each pair of receiver and sender for requests, and one for each sender for the answers that
// come back. A summary word in the receiver's hot line says which mailboxes (requests) or which
// words (answers) are worth a look.
//
//   submit:   slot.word = submitted (release); word |= bit; summary |= bit; ring if asleep
//   receive:  summary = 0; for each bit of it: word = 0; for each bit of that: look at slot.word
//
// What if the sender dies now? A bit says only "look at this slot": the slot's state word is the
// truth. Before the bit is set nobody looks, and reclaim withdraws the slot; between the two bits
// the same. A bit cannot be half set, setting it twice does nothing, and since there is a bit for
// each slot there is no such thing as a full mailbox. What if the receiver dies after it took the
// bits? They are lost, so its successor looks at every slot whose holder it is (Port::Replay).
//
// Ordering. (1) The slot's word is stored before its bit is set, and the bit is set with release:
// who takes the bit with acquire sees the slot as submitted or later. (2) The bit is set before the
// summary bit, both with release; the receiver takes the summary, with acquire, before the word. If
// it takes the word too early to see the bit, then the summary bit is set after it took the
// summary, and it comes again. (3) Sleeping is decided by the summary and the doorbell's sleeping
// word, each side writing one and then reading the other, all four sequentially consistent: either
// the sender sees that the receiver sleeps, or the receiver sees the summary bit (doorbell.h).
//
// A bit may be stale (the slot was withdrawn, or accepted by a replay): the receiver looks and goes
// on.
//
// Express: where nothing else is on its way the summary can name the slot itself, and the mailbox's
// line stays where it is. The hot line has a word for that in each direction: 0, or a slot. A
// sender puts its slot there if the word is 0 (compare and swap), and else takes the mailbox; the
// receiver alone sets it to 0 again, when it looks for the next one (ExpressReader). All that is
// said of bits holds for it: it is set after the slot's word, it may be stale, and a successor
// looks at every slot.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "xseg/slot.h"

namespace atl {

inline constexpr unsigned kMailboxWords = 8;
inline constexpr unsigned kMaxSlotsPerPort = kMailboxWords * 64;

// Asks for a line that is going to be written, so that several misses of one hand-over overlap.
inline void PrefetchForWrite(const void* line) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(line)));
#else
  __builtin_prefetch(line, 1);
#endif
}

struct alignas(kCacheLine) Mailbox {
  std::atomic<uint64_t> words[kMailboxWords];

  void Post(unsigned slot) {
    words[slot / 64].fetch_or(1ull << (slot % 64), std::memory_order_acq_rel);
  }
  uint64_t Take(unsigned word) {
    // The load keeps an empty word's line shared.
    if (words[word].load(std::memory_order_relaxed) == 0) return 0;
    return words[word].exchange(0, std::memory_order_acq_rel);
  }
  // For an inspector: is the bit set?
  bool Has(unsigned slot) const {
    return (words[slot / 64].load(std::memory_order_relaxed) >> (slot % 64) & 1) != 0;
  }
  void Clear() {
    for (auto& word : words) word.store(0, std::memory_order_relaxed);
  }
};
static_assert(sizeof(Mailbox) == kCacheLine);

// The line that a receiver polls and that its senders write.
struct alignas(kCacheLine) HotLine {
  std::atomic<uint64_t> arrivals;  // Requests: bit s, the mailbox of sender s has something.
  std::atomic<uint64_t> answers;   // Answers: bit w, word w of the answer mailbox has something.
  std::atomic<uint32_t> sleeping;  // A Sleep (doorbell.h); also the futex.
  uint32_t reserved0;
  std::atomic<uint64_t> express_request;  // A slot of the segment + 1; 0: none.
  std::atomic<uint64_t> express_answer;   // One of this port's own slots + 1; 0: none.
  uint64_t reserved[3];

  void RaiseArrival(unsigned bit) { arrivals.fetch_or(1ull << bit, std::memory_order_seq_cst); }
  void RaiseAnswer(unsigned bit) { answers.fetch_or(1ull << bit, std::memory_order_seq_cst); }
  // False: the word is taken; post it in the mailbox.
  static bool PostExpress(std::atomic<uint64_t>& word, uint64_t value) {
    uint64_t none = 0;
    return word.load(std::memory_order_relaxed) == 0 &&
           word.compare_exchange_strong(none, value, std::memory_order_seq_cst);
  }
  static uint64_t TakeSummary(std::atomic<uint64_t>& summary) {
    if (summary.load(std::memory_order_relaxed) == 0) return 0;
    return summary.exchange(0, std::memory_order_acq_rel);
  }
  uint64_t TakeArrivals() { return TakeSummary(arrivals); }
  uint64_t TakeAnswers() { return TakeSummary(answers); }
  bool HasAny() const {
    return (arrivals.load(std::memory_order_seq_cst) | answers.load(std::memory_order_seq_cst) |
            express_request.load(std::memory_order_seq_cst) |
            express_answer.load(std::memory_order_seq_cst)) != 0;
  }
};
static_assert(sizeof(HotLine) == kCacheLine);
static_assert(offsetof(HotLine, arrivals) == 0);
static_assert(offsetof(HotLine, answers) == 8);
static_assert(offsetof(HotLine, sleeping) == 16);
static_assert(offsetof(HotLine, express_request) == 24);
static_assert(offsetof(HotLine, express_answer) == 32);

// The lowest bit of *bits, which is taken out. *bits is not 0.
inline unsigned TakeLowestBit(uint64_t* bits) {
  const unsigned bit = static_cast<unsigned>(std::countr_zero(*bits));
  *bits &= *bits - 1;
  return bit;
}

// The receiving end of one mailbox: takes a word at a time and hands out slot numbers. The bits it
// has taken are in this process only.
class MailboxReader {
 public:
  explicit MailboxReader(Mailbox* box) : box_(box) {}
  const Mailbox* box() const { return box_; }
  bool has_taken() const { return bits_ != 0 || words_ != 0; }
  // These words are worth a look, besides those that already are.
  void Look(uint64_t words) { words_ |= words & ((1u << kMailboxWords) - 1); }
  // The next slot number, or -1 if there is none.
  int Next() {
    while (bits_ == 0) {
      if (words_ == 0) return -1;
      word_ = TakeLowestBit(&words_);
      bits_ = box_->Take(word_);
    }
    return static_cast<int>(word_ * 64 + TakeLowestBit(&bits_));
  }

 private:
  Mailbox* box_;
  uint64_t words_ = 0;
  uint64_t bits_ = 0;
  unsigned word_ = 0;
};

// The receiving end of an express word. What it has given is taken out only when the next is
// wanted: by then the answer, or the next request, is on its way, and does not wait for the line.
class ExpressReader {
 public:
  explicit ExpressReader(std::atomic<uint64_t>* word) : word_(word) {}
  // A slot's number, as the word has it, less 1; nothing: there is none.
  std::optional<uint64_t> Next() {
    if (Settle()) return std::nullopt;
    const uint64_t value = word_->load(std::memory_order_acquire);
    given_ = value != 0;
    return given_ ? std::optional(value - 1) : std::nullopt;
  }
  // Takes out what was given, if anything was: what the word has from now on is news.
  bool Settle() {
    if (given_) word_->store(0, std::memory_order_release);
    return std::exchange(given_, false);
  }

 private:
  std::atomic<uint64_t>* word_;
  bool given_ = false;
};
inline constexpr uint64_t kAllWords = (1u << kMailboxWords) - 1;

}  // namespace atl
