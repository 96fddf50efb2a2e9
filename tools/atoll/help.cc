// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/help.h"

#include <fmt/format.h>

#include <algorithm>

namespace atl {
namespace {

std::string OptionLines(std::span<const OptionRow> rows) {
  std::string text;
  for (const OptionRow& row : rows) {
    const std::string option = row.value.empty() ? fmt::format("--{}", row.name)
                                                 : fmt::format("--{} {}", row.name, row.value);
    text += fmt::format("  {:<22} {}\n", option, row.help);
  }
  return text;
}

std::string VerbLines(std::string_view group) {
  size_t width = 0;
  for (const VerbRow& row : Verbs()) {
    if (row.group == group) width = std::max(width, PathOf(row).size());
  }
  std::string text;
  for (const VerbRow& row : Verbs()) {
    if (row.group == group) text += fmt::format("  {:<{}}  {}\n", PathOf(row), width, row.summary);
  }
  return text;
}

std::string OfVerb(const VerbRow& verb) {
  std::string text = fmt::format("usage: {}\n\n{}\n", UsageOf(verb), verb.summary);
  if (!verb.details.empty()) text += fmt::format("\n{}\n", verb.details);
  if (!verb.options.empty()) text += "\noptions:\n" + OptionLines(verb.options);
  return text + "\nfor every verb:\n" + OptionLines(CommonOptions());
}

std::string OfGroup(std::string_view group) {
  std::string text = fmt::format("usage: atoll {} VERB ...\n\n", group);
  for (const VerbRow& row : Verbs()) {
    if (row.group == group) text += fmt::format("  {}\n      {}\n", UsageOf(row), row.summary);
  }
  return text + "\nfor every verb:\n" + OptionLines(CommonOptions());
}

std::string OfAll() {
  std::string text =
      "atoll: administrates an Atoll node and its volumes\n\n"
      "usage: atoll [--config FILE] [--format table|json] VERB ...\n";
  for (const GroupRow& group : Groups()) {
    text += fmt::format("\n{}:\n{}", group.summary, VerbLines(group.name));
  }
  return text + "\nfor every verb:\n" + OptionLines(CommonOptions()) +
         "\nSizes are bytes, or have a unit that is a power of 1024: 512K, 20M, 10G, 64T, 1P. A "
         "NAME\n"
         "has 1 to 200 bytes of A-Z a-z 0-9 . _ - @ /, or is uuid:UUID; one that begins with '-'\n"
         "needs '--' before it. Exit codes: 0, 1 for an error, 2 for wrong usage.\n";
}

}  // namespace

std::string HelpText(const HelpRequest& request) {
  if (request.verb != nullptr) return OfVerb(*request.verb);
  return request.group.empty() ? OfAll() : OfGroup(request.group);
}

}  // namespace atl
