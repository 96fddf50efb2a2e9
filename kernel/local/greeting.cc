// SPDX-License-Identifier: Apache-2.0
#include "kernel/local/greeting.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

namespace atl::local {
namespace {

static_assert(std::endian::native == std::endian::little);

template <typename Head>
Bytes Join(const Head& head, std::string_view tail) {
  Bytes out(sizeof(head) + tail.size());
  std::memcpy(out.data(), &head, sizeof(head));
  if (!tail.empty()) std::memcpy(out.data() + sizeof(head), tail.data(), tail.size());
  return out;
}

bool IsZero(std::span<const uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

Status Invalid(std::string text) { return {Code::kInvalid, std::move(text)}; }

}  // namespace

Bytes MakeGreeting(const Wish& wish) {
  Greeting greeting{};
  greeting.magic = kGreetingMagic;
  greeting.version = kProtocolVersion;
  greeting.name_bytes = static_cast<uint32_t>(wish.name.size());
  greeting.mode = static_cast<uint8_t>(wish.mode);
  return Join(greeting, wish.name);
}

Status JudgeGreeting(const Greeting& greeting) {
  if (greeting.magic != kGreetingMagic) return Invalid("this is no greeting of a local client");
  if (greeting.version != kProtocolVersion) {
    return {Code::kUnsupported, fmt::format("version {} is not spoken here, but {} is",
                                            greeting.version, kProtocolVersion)};
  }
  if (greeting.name_bytes == 0 || greeting.name_bytes > kMaxNameInGreeting) {
    return Invalid(
        fmt::format("a name has 1 to {} bytes, not {}", kMaxNameInGreeting, greeting.name_bytes));
  }
  if (greeting.mode > static_cast<uint8_t>(Mode::kReadOnly)) {
    return Invalid(fmt::format("there is no mode {}", greeting.mode));
  }
  if (!IsZero(greeting.reserved)) return Invalid("reserved bytes of the greeting are not 0");
  return {};
}

Bytes MakeAnswer(const Facts& facts) {
  Answer answer{};
  answer.magic = kGreetingMagic;
  answer.version = kProtocolVersion;
  answer.code = static_cast<uint32_t>(Code::kOk);
  answer.flags = facts.read_only ? kAnswerReadOnly : 0;
  answer.size = facts.size;
  answer.logical_block = facts.logical_block;
  answer.physical_block = facts.physical_block;
  answer.max_request = facts.max_request;
  std::memcpy(answer.uuid, facts.uuid.bytes.data(), sizeof(answer.uuid));
  return Join(answer, {});
}

Bytes MakeRefusal(const Status& status) {
  CHECK(!status.ok());
  const std::string_view text = status.message().substr(0, kMaxAnswerText);
  Answer answer{};
  answer.magic = kGreetingMagic;
  answer.version = kProtocolVersion;
  answer.code = static_cast<uint32_t>(status.code());
  answer.text_bytes = static_cast<uint32_t>(text.size());
  return Join(answer, text);
}

Status JudgeAnswer(const Answer& answer) {
  if (answer.magic != kGreetingMagic) return Invalid("this is no socket for local clients");
  const bool agreed = answer.code != 0 || answer.version == kProtocolVersion;
  if (!agreed || answer.code >= kCodeCount || answer.text_bytes > kMaxAnswerText) {
    return Invalid("the answer of the server makes no sense");
  }
  return {};
}

Result<Facts> FactsOf(const Answer& answer, std::string_view text) {
  if (answer.code != static_cast<uint32_t>(Code::kOk)) {
    return Status(static_cast<Code>(answer.code), std::string(text));
  }
  Facts facts;
  facts.size = answer.size;
  facts.logical_block = answer.logical_block;
  facts.physical_block = answer.physical_block;
  facts.max_request = answer.max_request;
  facts.read_only = (answer.flags & kAnswerReadOnly) != 0;
  std::memcpy(facts.uuid.bytes.data(), answer.uuid, sizeof(answer.uuid));
  return facts;
}

}  // namespace atl::local
