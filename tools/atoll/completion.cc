// SPDX-License-Identifier: Apache-2.0
//
// One script serves both shells: zsh runs it through its bashcompinit. It knows the table of verbs
// and asks the node for names.
#include <fmt/format.h>

#include <set>

#include "tools/atoll/help.h"

namespace atl {
namespace {

// What a shell runs to complete a word of this sort.
std::string ActionOf(Words words, std::string_view fixed) {
  switch (words) {
    case Words::kFile:
      return "files";
    case Words::kFolder:
      return "folders";
    case Words::kVolume:
      return "names volume";
    case Words::kSnapshot:
      return "names snapshot";
    case Words::kResource:
      return "names volume snapshot";
    case Words::kStore:
      return "names store";
    case Words::kFixed:
      return fmt::format("words {}", fixed);
    case Words::kAny:
      break;
  }
  return "words";
}

std::string FirstWords() {
  std::set<std::string_view> words;
  for (const VerbRow& row : Verbs()) words.insert(row.group.empty() ? row.name : row.group);
  return fmt::format("{}", fmt::join(words, " "));
}

std::string SecondWords() {
  std::string text;
  for (const GroupRow& group : Groups()) {
    if (group.name.empty()) continue;
    std::string verbs;
    for (const VerbRow& row : Verbs()) {
      if (row.group == group.name) verbs += fmt::format(" {}", row.name);
    }
    text += fmt::format("    '{}') _atoll_words{} ;;\n", group.name, verbs);
  }
  return text;
}

std::string OptionNames(const VerbRow& verb) {
  std::string text;
  for (const OptionRow& row : verb.options) text += fmt::format(" --{}", row.name);
  for (const OptionRow& row : CommonOptions()) text += fmt::format(" --{}", row.name);
  return text;
}

// "verb:place" to an action, place being an argument's index or an option.
std::string Places() {
  std::string text;
  for (const VerbRow& verb : Verbs()) {
    const std::string path = PathOf(verb);
    for (size_t i = 0; i < verb.arguments.size(); ++i) {
      const ArgumentRow& row = verb.arguments[i];
      text += fmt::format("    '{}:{}') _atoll_{} ;;\n", path, i, ActionOf(row.words, row.fixed));
    }
    for (const OptionRow& row : verb.options) {
      if (row.value.empty()) continue;
      text += fmt::format("    '{}:--{}') _atoll_{} ;;\n", path, row.name,
                          ActionOf(row.words, row.fixed));
    }
    text += fmt::format("    '{}:options') _atoll_words{} ;;\n", path, OptionNames(verb));
  }
  return text;
}

std::string ValueOptions() {
  std::set<std::string_view> names;
  for (const VerbRow& verb : Verbs()) {
    for (const OptionRow& row : verb.options) {
      if (!row.value.empty()) names.insert(row.name);
    }
  }
  for (const OptionRow& row : CommonOptions()) {
    if (!row.value.empty()) names.insert(row.name);
  }
  return fmt::format("--{}", fmt::join(names, "|--"));
}

constexpr std::string_view kFunctions =
    R"sh(_atoll_words() { COMPREPLY=($(compgen -W "$*" -- "$cur")); }
_atoll_files() { COMPREPLY=($(compgen -f -- "$cur")); }
_atoll_folders() { COMPREPLY=($(compgen -d -- "$cur")); }
_atoll_names() {
  local kind names=
  for kind; do names+=" $(atoll "${config[@]}" "$kind" list --quiet 2>/dev/null)"; done
  COMPREPLY=($(compgen -W "$names" -- "$cur"))
}
)sh";

constexpr std::string_view kMain = R"sh(_atoll() {
  local cur=${COMP_WORDS[COMP_CWORD]} i word skip= count=0 verb= config=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ -n $skip ]]; then
      [[ $skip == --config ]] && config=(--config "$word")
      skip=
      continue
    fi
    case $word in
      VALUE_OPTIONS) skip=$word ;;
      -*) ;;
      *)
        if [[ -z $verb ]]; then verb=$word
        elif [[ " GROUPS " == *" $verb "* ]]; then verb="$verb $word"
        else ((++count)); fi
        ;;
    esac
  done
  case $skip in
    --config) _atoll_files; return ;;
    --format) _atoll_words table json; return ;;
    '') ;;
    *) _atoll_place "$verb:$skip"; return ;;
  esac
  if [[ $cur == -* && -n $verb ]]; then _atoll_place "$verb:options"
  elif [[ -z $verb ]]; then _atoll_words FIRST_WORDS
  elif [[ " GROUPS " == *" $verb "* ]]; then _atoll_verbs "$verb"
  else _atoll_place "$verb:$count"; fi
}
complete -F _atoll atoll
)sh";

std::string Replace(std::string text, std::string_view from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string GroupNames() {
  std::string text;
  for (const GroupRow& row : Groups()) {
    if (!row.name.empty()) text += (text.empty() ? "" : " ") + std::string(row.name);
  }
  return text;
}

}  // namespace

Result<std::string> CompletionScript(std::string_view shell) {
  if (shell != "bash" && shell != "zsh") {
    return Status(Code::kInvalid, fmt::format("'{}' is no shell known here; bash or zsh", shell));
  }
  std::string main(kMain);
  main = Replace(main, "VALUE_OPTIONS", ValueOptions());
  main = Replace(main, "FIRST_WORDS", FirstWords());
  main = Replace(main, "GROUPS", GroupNames());
  return fmt::format(
      "# Completion of atoll for {0}: source <(atoll completion {0})\n{1}{2}"
      "_atoll_verbs() {{\n  case $1 in\n{3}  esac\n}}\n"
      "_atoll_place() {{\n  case $1 in\n{4}  esac\n}}\n{5}",
      shell, shell == "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "", kFunctions,
      SecondWords(), Places(), main);
}

}  // namespace atl
