// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/source_sites.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

namespace atl {
namespace {

namespace fs = std::filesystem;

std::string ReadText(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What takes a site, by its declaration, as it is called.
std::set<std::string> Callees(const fs::path& folder) {
  std::set<std::string> names;
  const std::regex declaration(R"((\w+)\(([^;{}]*)Site site = )");
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".h") continue;
    const std::string scope = entry.path().filename() == "sys.h" ? "sys::" : "";
    const std::string text = ReadText(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at) {
      names.insert(scope + (*at)[1].str());
    }
  }
  return names;
}

}  // namespace

std::vector<SourceSite> SitesOfSources(const std::string& folder) {
  std::string any;
  for (const std::string& name : Callees(folder)) any += (any.empty() ? "" : "|") + name;
  const std::regex call(R"((^|[^\w:.>])()" + any + R"()\()");
  std::vector<SourceSite> sites;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (entry.path().extension() != ".cc" || file == "sys.cc" || file == "posix.cc") continue;
    std::ifstream in(entry.path());
    uint32_t line = 0;
    for (std::string text; std::getline(in, text);) {
      ++line;
      const bool comment = text.find_first_not_of(' ') == text.find("//");
      const bool definition = !text.starts_with(' ');
      const bool passes_on = text.find(" site)") != std::string::npos;
      if (comment || definition || passes_on) continue;
      if (std::regex_search(text, call)) sites.push_back({file, line, text});
    }
  }
  return sites;
}

}  // namespace atl
