// SPDX-License-Identifier: Apache-2.0
#include "tools/config/ini.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace atl {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool IsWord(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-' || c == '.';
  });
}

bool IsPlainText(std::string_view line) {
  return std::ranges::none_of(line,
                              [](unsigned char c) { return c < 0x20 && c != '\t' && c != '\r'; });
}

class IniParser {
 public:
  explicit IniParser(std::string_view file) : file_(file) {}

  Status TakeLine(std::string_view raw) {
    ++line_;
    if (!IsPlainText(raw)) return Error("this is no text");
    const std::string_view line = Trim(raw);
    if (line.empty() || line[0] == '#' || line[0] == ';') return {};
    return line[0] == '[' ? TakeSection(line) : TakeEntry(line);
  }
  std::vector<IniSection> Take() { return std::move(sections_); }

 private:
  Status TakeSection(std::string_view line) {
    if (line.back() != ']') return Error("a section ends with ']'");
    const std::string_view inside = Trim(line.substr(1, line.size() - 2));
    const size_t blank = inside.find_first_of(kBlanks);
    IniSection section;
    section.kind = inside.substr(0, blank);
    if (blank != std::string_view::npos) section.name = Trim(inside.substr(blank));
    section.line = line_;
    if (!IsWord(section.kind) || (!section.name.empty() && !IsWord(section.name))) {
      return Error("a section is [kind] or [kind name], made of letters, digits and - _ .");
    }
    for (const IniSection& other : sections_) {
      if (other.kind == section.kind && other.name == section.name) {
        return Error(fmt::format("section {} is there already, in line {}", line, other.line));
      }
    }
    sections_.push_back(std::move(section));
    return {};
  }

  Status TakeEntry(std::string_view line) {
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return Error("neither [section] nor key = value");
    const std::string_view key = Trim(line.substr(0, equals));
    if (!IsWord(key)) return Error("a key is made of letters, digits and - _ .");
    if (sections_.empty()) return Error(fmt::format("key '{}' stands before any section", key));
    auto& entries = sections_.back().entries;
    for (const IniEntry& other : entries) {
      if (other.key == key) {
        return Error(fmt::format("key '{}' is there already, in line {}", key, other.line));
      }
    }
    entries.push_back({std::string(key), std::string(Trim(line.substr(equals + 1))), line_});
    return {};
  }

  Status Error(std::string_view what) const { return ConfigError(file_, line_, what); }

  std::string_view file_;
  int line_ = 0;
  std::vector<IniSection> sections_;
};

}  // namespace

Status ConfigError(std::string_view file, int line, std::string_view what) {
  return {Code::kInvalid, fmt::format("{}:{}: {}", file, line, what)};
}

Result<std::vector<IniSection>> ParseIni(std::string_view text, std::string_view file) {
  if (text.size() > kMaxConfigBytes) {
    return Status(Code::kLimit,
                  fmt::format("{}: a configuration has at most {} bytes", file, kMaxConfigBytes));
  }
  IniParser parser(file);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    RETURN_IF_ERROR(parser.TakeLine(text.substr(0, end)));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parser.Take();
}

}  // namespace atl
