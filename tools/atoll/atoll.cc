// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/atoll.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tools/atoll/command_line.h"
#include "tools/atoll/help.h"
#include "tools/atoll/verbs.h"
#include "tools/config/version.h"

namespace atl {
namespace {

// One line, whatever is in the message.
void Complain(const Status& status) {
  std::string text(status.message());
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20; }, ' ');
  fmt::print(stderr, "atoll: {}\n", text);
}

// An answer that did not arrive is no success. A reader that has gone away knows that it has.
int Ended(int exit_code) {
  const Status output = OutputStatus();
  if (output.ok()) return exit_code;
  if (output.code() != Code::kCancelled) Complain(output);
  return exit_code == kExitOk ? kExitError : exit_code;
}

int Run(Invocation invocation) {
  const VerbRow& verb = *invocation.verb;
  Context context(std::move(invocation));
  const Status status =
      verb.with_node != nullptr ? context.RunWithNode(verb.with_node) : verb.without_node(context);
  if (status.ok()) return Ended(kExitOk);
  Complain(status);
  return context.wrong_usage() ? kExitWrongUsage : kExitError;
}

}  // namespace

Status Completion(Context& context) {
  auto script = CompletionScript(context.Value("SHELL"));
  if (!script.ok()) return context.WrongUsage(script.status());
  Print(*script);
  return {};
}

int RunAtoll(const std::vector<std::string>& words) {
  auto line = ParseCommandLine(words);
  if (!line.ok()) {
    Complain(line.status());
    return kExitWrongUsage;
  }
  if (const auto* help = std::get_if<HelpRequest>(&*line)) {
    Print(HelpText(*help));
    return Ended(kExitOk);
  }
  if (std::holds_alternative<VersionRequest>(*line)) {
    Print(fmt::format("atoll {}\n", Version()));
    return Ended(kExitOk);
  }
  return Run(std::get<Invocation>(*std::move(line)));
}

}  // namespace atl
