// SPDX-License-Identifier: Apache-2.0
//
// Feeds the command line of `atoll`: the lines of the input are its words, and are each taken for a
// size, a name of a resource and a shell as well. An error is one line that is not empty. What was
// understood is written down as a command line again, and must be understood as the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tools/atoll/command_line.h"
#include "tools/atoll/help.h"
#include "tools/atoll/size.h"
#include "xseg/base/check.h"

namespace atl {
namespace {

std::vector<std::string> WordsOf(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(std::string_view("\n\0", 2)), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

void ExpectOneLine(const Status& status) {
  const std::string_view message = status.message();
  CHECK(!message.empty() && message.find('\n') == message.npos) << message;
}

// Options first, then "--", so that an argument may look like an option.
std::vector<std::string> WrittenDown(const Invocation& invocation) {
  const VerbRow& verb = *invocation.verb;
  std::vector<std::string> words;
  if (!verb.group.empty()) words.emplace_back(verb.group);
  words.emplace_back(verb.name);
  if (!invocation.config.empty()) words.push_back("--config=" + invocation.config);
  if (invocation.format == Format::kJson) words.emplace_back("--format=json");
  for (const std::string& flag : invocation.flags) words.push_back("--" + flag);
  for (const OptionRow& option : verb.options) {
    const auto given = invocation.values.find(option.name);
    if (given == invocation.values.end()) continue;
    words.push_back("--" + given->first + "=" + given->second);
  }
  words.emplace_back("--");
  for (const ArgumentRow& argument : verb.arguments) {
    const auto given = invocation.values.find(argument.name);
    if (given != invocation.values.end()) words.push_back(given->second);
  }
  return words;
}

void TryCommandLine(const std::vector<std::string>& words) {
  const auto line = ParseCommandLine(words);
  if (!line.ok()) return ExpectOneLine(line.status());
  if (const auto* help = std::get_if<HelpRequest>(&*line)) {
    CHECK(HelpText(*help).ends_with("\n"));
  }
  const auto* invocation = std::get_if<Invocation>(&*line);
  if (invocation == nullptr) return;
  const auto again = ParseCommandLine(WrittenDown(*invocation));
  CHECK(again.ok()) << again.status().message();
  const auto& same = std::get<Invocation>(*again);
  CHECK(same.verb == invocation->verb && same.values == invocation->values);
  CHECK(same.flags == invocation->flags && same.config == invocation->config);
  CHECK(same.format == invocation->format);
}

void TrySize(const std::string& word) {
  const auto size = ParseSize(word);
  if (!size.ok()) return ExpectOneLine(size.status());
  CHECK(*ParseSize(std::to_string(*size)) == *size);
  if (*size % 1024 == 0) CHECK(*ParseSize(std::to_string(*size / 1024) + "KiB") == *size);
  CHECK(!HumanSize(*size).empty() && !HumanCount(static_cast<double>(*size)).empty());
  const auto ns = static_cast<int64_t>(*size);
  CHECK(!HumanNs(ns).empty() && !HumanUptime(ns).empty());
  CHECK(ns <= 0 || !UtcTime(ns).empty());
}

void TryRef(const std::string& word) {
  const auto ref = ParseRef(word);
  if (!ref.ok()) return ExpectOneLine(ref.status());
  const std::string text = ref->uuid.is_zero() ? ref->name : "uuid:" + ref->uuid.ToString();
  const auto again = ParseRef(text);
  CHECK(again.ok() && again->name == ref->name && again->uuid == ref->uuid);
}

}  // namespace
}  // namespace atl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto words = atl::WordsOf({reinterpret_cast<const char*>(data), size});
  atl::TryCommandLine(words);
  for (const std::string& word : words) {
    atl::TrySize(word);
    atl::TryRef(word);
    const auto script = atl::CompletionScript(word);
    if (!script.ok()) atl::ExpectOneLine(script.status());
  }
  return 0;
}
