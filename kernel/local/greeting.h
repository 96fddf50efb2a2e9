// SPDX-License-Identifier: Apache-2.0
//
// The bytes of protocol.h that go over the socket, both ways. Whatever comes is judged before it is
// used: garbage gives a Status.
//
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/local/protocol.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"
#include "xseg/base/uuid.h"

namespace atl::local {

// What a client wants.
struct Wish {
  std::string name;
  Mode mode = Mode::kReadWrite;
};

// What it gets.
struct Facts {
  uint64_t size = 0;
  uint32_t logical_block = 512;
  uint32_t physical_block = 4096;
  uint32_t max_request = 0;
  bool read_only = false;
  Uuid uuid;
};

Bytes MakeGreeting(const Wish& wish);
// The name that follows has greeting.name_bytes. kUnsupported: of another version.
Status JudgeGreeting(const Greeting& greeting);

Bytes MakeAnswer(const Facts& facts);
// Of a text that is too long the end is left out.
Bytes MakeRefusal(const Status& status);
// The text that follows has answer.text_bytes.
Status JudgeAnswer(const Answer& answer);
// What a judged answer says: facts, or the reason why not.
Result<Facts> FactsOf(const Answer& answer, std::string_view text);

}  // namespace atl::local
