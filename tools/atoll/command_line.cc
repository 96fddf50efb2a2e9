// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>

#include "tools/config/suggest.h"

namespace atl {
namespace {

namespace po = boost::program_options;

Status Wrong(std::string message) { return {Code::kInvalid, std::move(message)}; }

bool TakesValue(std::span<const OptionRow> rows, const std::string& word) {
  return std::ranges::any_of(rows, [&](const OptionRow& option) {
    return !option.value.empty() && word == fmt::format("--{}", option.name);
  });
}

// Options that every verb takes may stand before the verb as well, so the words of the verb are
// the first ones that neither are such an option nor belong to one.
std::vector<size_t> FindVerbWords(const std::vector<std::string>& words) {
  std::vector<size_t> found;
  for (size_t i = 0; i < words.size() && found.size() < 2; ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("-")) {
      found.push_back(i);
      continue;
    }
    if (TakesValue(CommonOptions(), word)) ++i;
  }
  return found;
}

struct FoundVerb {
  const VerbRow* verb = nullptr;
  std::string group;
  size_t words = 0;
};

Result<FoundVerb> FindVerb(const std::vector<std::string>& words, const std::vector<size_t>& at) {
  FoundVerb found;
  if (at.empty()) return found;
  const std::string& first = words[at[0]];
  std::vector<std::string_view> known;
  for (const VerbRow& row : Verbs()) {
    if (row.group.empty() && row.name == first) return FoundVerb{&row, "", 1};
    known.push_back(row.group.empty() ? row.name : row.group);
    if (row.group != first) continue;
    found.group = first;
    if (at.size() > 1 && row.name == words[at[1]]) return FoundVerb{&row, first, 2};
  }
  if (found.group.empty()) {
    return Wrong(fmt::format("'{}' is no verb{}; see atoll --help", first, Suggest(first, known)));
  }
  if (at.size() < 2) return found;
  known.clear();
  for (const VerbRow& row : Verbs()) {
    if (row.group == first) known.push_back(row.name);
  }
  const std::string& second = words[at[1]];
  return Wrong(fmt::format("'{} {}' is no verb{}; see atoll {} --help", first, second,
                           Suggest(second, known), first));
}

// What begins with '-' is an option or an error until a "--" says otherwise. `-h` is the only short
// one.
Status TakeShort(const VerbRow* verb, std::vector<std::string>& rest) {
  for (size_t i = 0; i < rest.size() && rest[i] != "--"; ++i) {
    std::string& word = rest[i];
    if (TakesValue(CommonOptions(), word) || (verb != nullptr && TakesValue(verb->options, word))) {
      ++i;
    } else if (word == "-h") {
      word = "--help";
    } else if (word.size() > 1 && word.starts_with("-") && !word.starts_with("--")) {
      return Wrong(
          fmt::format("unrecognised option '{}'; a NAME that begins with '-' needs '--' "
                      "before it",
                      word));
    }
  }
  return {};
}

void AddOptions(po::options_description& description, std::span<const OptionRow> rows) {
  for (const OptionRow& row : rows) {
    const std::string name(row.name);
    if (row.value.empty()) {
      description.add_options()(name.c_str(), po::bool_switch());
    } else {
      description.add_options()(name.c_str(), po::value<std::string>());
    }
  }
}

// Throws what the library throws.
po::variables_map ParseRest(const VerbRow* verb, const std::vector<std::string>& rest) {
  po::options_description description;
  AddOptions(description, CommonOptions());
  if (verb != nullptr) AddOptions(description, verb->options);
  description.add_options()("words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", -1);
  constexpr int kStyle = po::command_line_style::default_style &
                         ~po::command_line_style::allow_guessing &
                         ~po::command_line_style::allow_short;
  po::variables_map values;
  po::store(
      po::command_line_parser(rest).options(description).positional(positional).style(kStyle).run(),
      values);
  return values;
}

Status TakeArguments(const VerbRow& verb, const po::variables_map& values, Invocation& out) {
  std::vector<std::string> given;
  if (values.contains("words")) given = values["words"].as<std::vector<std::string>>();
  if (given.size() > verb.arguments.size()) {
    return Wrong(
        fmt::format("'{}' is too much; usage: {}", given[verb.arguments.size()], UsageOf(verb)));
  }
  for (size_t i = 0; i < verb.arguments.size(); ++i) {
    const ArgumentRow& row = verb.arguments[i];
    if (i < given.size()) {
      out.values[std::string(row.name)] = given[i];
    } else if (row.required) {
      return Wrong(fmt::format("{} is missing; usage: {}", row.name, UsageOf(verb)));
    }
  }
  return {};
}

Status TakeOptions(std::span<const OptionRow> rows, const po::variables_map& values,
                   const VerbRow& verb, Invocation& out) {
  for (const OptionRow& row : rows) {
    const std::string name(row.name);
    if (row.value.empty()) {
      if (values[name].as<bool>()) out.flags.insert(name);
    } else if (values.contains(name)) {
      out.values[name] = values[name].as<std::string>();
      if (out.values[name].empty()) {
        return Wrong(fmt::format("--{} is empty; usage: {}", name, UsageOf(verb)));
      }
    } else if (row.required) {
      return Wrong(fmt::format("--{} is missing; usage: {}", name, UsageOf(verb)));
    }
  }
  return {};
}

Status TakeCommon(Invocation& out) {
  out.config = out.values["config"];
  const std::string& format = out.values["format"];
  if (format == "json") {
    out.format = Format::kJson;
  } else if (!format.empty() && format != "table") {
    return Wrong(fmt::format("--format is table or json, not '{}'", format));
  }
  out.values.erase("config");
  out.values.erase("format");
  return {};
}

// The messages of the library, in the words of the others.
std::string Explain(const po::error& error) {
  std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

}  // namespace

Result<CommandLine> ParseCommandLine(const std::vector<std::string>& words) {
  const std::vector<size_t> at = FindVerbWords(words);
  ASSIGN_OR_RETURN(const FoundVerb found, FindVerb(words, at));
  std::vector<std::string> rest;
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t own = found.verb != nullptr ? found.words : at.size();
    if (std::find(at.begin(), at.begin() + static_cast<ptrdiff_t>(own), i) ==
        at.begin() + static_cast<ptrdiff_t>(own)) {
      rest.push_back(words[i]);
    }
  }
  const std::string where = found.verb != nullptr ? PathOf(*found.verb) + " " : found.group + " ";
  RETURN_IF_ERROR(TakeShort(found.verb, rest));
  po::variables_map values;
  try {
    values = ParseRest(found.verb, rest);
  } catch (const po::error& error) {
    return Wrong(fmt::format("{}; see atoll {}--help", Explain(error), where == " " ? "" : where));
  }
  if (values["help"].as<bool>()) return CommandLine(HelpRequest{found.group, found.verb});
  if (values["version"].as<bool>()) return CommandLine(VersionRequest{});
  if (found.verb == nullptr) {
    return Wrong(found.group.empty()
                     ? "a verb is missing; see atoll --help"
                     : fmt::format("a verb is missing; see atoll {} --help", found.group));
  }
  Invocation invocation;
  invocation.verb = found.verb;
  RETURN_IF_ERROR(TakeArguments(*found.verb, values, invocation));
  RETURN_IF_ERROR(TakeOptions(CommonOptions(), values, *found.verb, invocation));
  RETURN_IF_ERROR(TakeOptions(found.verb->options, values, *found.verb, invocation));
  RETURN_IF_ERROR(TakeCommon(invocation));
  return CommandLine(std::move(invocation));
}

std::string PathOf(const VerbRow& verb) {
  return verb.group.empty() ? std::string(verb.name) : fmt::format("{} {}", verb.group, verb.name);
}

std::string UsageOf(const VerbRow& verb) {
  std::string text = "atoll " + PathOf(verb);
  for (const ArgumentRow& row : verb.arguments) {
    text += row.required ? fmt::format(" {}", row.name) : fmt::format(" [{}]", row.name);
  }
  for (const OptionRow& row : verb.options) {
    const std::string option = row.value.empty() ? fmt::format("--{}", row.name)
                                                 : fmt::format("--{} {}", row.name, row.value);
    text += row.required ? " " + option : " [" + option + "]";
  }
  return text;
}

}  // namespace atl
