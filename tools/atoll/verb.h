// SPDX-License-Identifier: Apache-2.0
//
// The surface of the CLI is data: one row a verb. Parsing, help, usage errors and shell completion
// are made from these rows; a new verb is a row and a function.
#pragma once

#include <span>
#include <string_view>

#include "xseg/base/status.h"
#include "xseg/base/task.h"

namespace atl {

class Context;

// What a shell offers for a word.
enum class Words : uint8_t { kAny, kFile, kFolder, kVolume, kSnapshot, kResource, kStore, kFixed };

struct ArgumentRow {
  std::string_view name;  // "NAME"
  bool required = true;
  Words words = Words::kAny;
  std::string_view fixed = {};  // Of kFixed: what there is to choose from, by blanks.
};

struct OptionRow {
  std::string_view name;   // "size", given as --size.
  std::string_view value;  // "SIZE"; empty: a flag.
  std::string_view help;
  bool required = false;
  Words words = Words::kAny;
  std::string_view fixed = {};
};

struct VerbRow {
  std::string_view group;  // "volume", or empty: the verb stands by itself.
  std::string_view name;
  std::span<const ArgumentRow> arguments;
  std::span<const OptionRow> options;
  std::string_view summary;  // One line.
  std::string_view details;  // More, for the verb's own help; may be empty.
  // Exactly one of the two: with a connection to the node, or without.
  Task<Status> (*with_node)(Context& context) = nullptr;
  Status (*without_node)(Context& context) = nullptr;
};

struct GroupRow {
  std::string_view name;
  std::string_view summary;
};

std::span<const VerbRow> Verbs();
std::span<const GroupRow> Groups();
// Options that every verb takes.
std::span<const OptionRow> CommonOptions();

}  // namespace atl
