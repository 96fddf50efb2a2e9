// SPDX-License-Identifier: Apache-2.0
//
// What the CLI prints: rows of cells, each with a key, a value for JSON and a text for people, from
// which both formats come. Tables are aligned; JSON has integers for bytes and nanoseconds.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "xseg/base/status.h"

namespace atl {

using Json = nlohmann::ordered_json;

enum class Format : uint8_t { kTable, kJson };

enum class Align : uint8_t { kLeft, kRight };

struct Cell {
  std::string key;
  Json json;
  std::string text;
  Align align = Align::kLeft;
  // Of a list: only in JSON, not a column.
  bool detail = false;
};
using Row = std::vector<Cell>;

Cell TextCell(std::string key, std::string text);
Cell DetailCell(std::string key, Json json, std::string text);
Cell SizeCell(std::string key, uint64_t bytes);
Cell CountCell(std::string key, uint64_t count);
Cell TimeCell(std::string key, int64_t ns_since_epoch);

// `columns` names what a list is made of, also when it has no rows.
std::string RenderList(Format format, const Row& columns, const std::vector<Row>& rows);
// One thing: "key: value" lines, or an object. Cells without a text are left out of the lines.
std::string RenderOne(Format format, const Row& row);
// One line for people, or an object.
std::string RenderSaid(Format format, const std::string& text, const Json& json);

std::string JsonText(const Json& json);
void Print(const std::string& text);
// Why not all that was printed has arrived at stdout, if so; kCancelled if its reader has gone.
Status OutputStatus();

}  // namespace atl
