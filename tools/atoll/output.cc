// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "tools/atoll/size.h"

namespace atl {
namespace {

int output_error = 0;

Json ObjectOf(const Row& row) {
  Json object = Json::object();
  for (const Cell& cell : row) object[cell.key] = cell.json;
  return object;
}

std::string Spaced(std::string key) {
  std::ranges::replace(key, '_', ' ');
  return key;
}

std::string Heading(const std::string& key) {
  std::string text = Spaced(key);
  // A unit that the cells show anyway, and "per second" as people write it.
  if (text.ends_with(" ns")) text.erase(text.size() - 3);
  if (text.ends_with(" per s")) text.replace(text.size() - 6, 6, "/s");
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string RenderTable(const Row& columns, const std::vector<Row>& rows) {
  std::vector<size_t> widths;
  for (const Cell& column : columns) widths.push_back(Heading(column.key).size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].text.size());
  }
  const auto render_line = [&](auto text_of) {
    std::string line;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].detail) continue;
      const bool right = columns[i].align == Align::kRight;
      line += right ? fmt::format("{:>{}}  ", text_of(i), widths[i])
                    : fmt::format("{:<{}}  ", text_of(i), widths[i]);
    }
    return line.erase(line.find_last_not_of(' ') + 1) + "\n";
  };
  std::string text = render_line([&](size_t i) { return Heading(columns[i].key); });
  for (const Row& row : rows) text += render_line([&](size_t i) { return row[i].text; });
  return text;
}

}  // namespace

Cell TextCell(std::string key, std::string text) { return {std::move(key), text, text}; }
Cell DetailCell(std::string key, Json json, std::string text) {
  return {std::move(key), std::move(json), std::move(text), Align::kLeft, true};
}
Cell SizeCell(std::string key, uint64_t bytes) {
  return {std::move(key), bytes, HumanSize(bytes), Align::kRight};
}
Cell CountCell(std::string key, uint64_t count) {
  return {std::move(key), count, std::to_string(count), Align::kRight};
}
Cell TimeCell(std::string key, int64_t ns_since_epoch) {
  std::string text = UtcTime(ns_since_epoch);
  return {std::move(key), text, text};
}

std::string RenderList(Format format, const Row& columns, const std::vector<Row>& rows) {
  if (format == Format::kTable) return RenderTable(columns, rows);
  Json list = Json::array();
  for (const Row& row : rows) list.push_back(ObjectOf(row));
  return JsonText(list);
}

std::string RenderOne(Format format, const Row& row) {
  if (format == Format::kJson) return JsonText(ObjectOf(row));
  size_t width = 0;
  for (const Cell& cell : row) {
    if (!cell.text.empty()) width = std::max(width, cell.key.size() + 1);
  }
  std::string text;
  for (const Cell& cell : row) {
    if (cell.text.empty()) continue;
    text += fmt::format("{:<{}}  {}\n", Spaced(cell.key) + ":", width, cell.text);
  }
  return text;
}

std::string RenderSaid(Format format, const std::string& text, const Json& json) {
  return format == Format::kJson ? JsonText(json) : text + "\n";
}

std::string JsonText(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void Print(const std::string& text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (std::fflush(stdout) == 0 && written) return;
  if (output_error == 0) output_error = errno == 0 ? EIO : errno;
}

Status OutputStatus() {
  if (output_error == EPIPE) return {Code::kCancelled, "stdout: nobody reads it"};
  return Status::FromErrno(output_error, "stdout");
}

}  // namespace atl
