// SPDX-License-Identifier: Apache-2.0
#include "tools/node/store_remains.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <iterator>

#include "tools/node/store_list.h"

namespace atl {
namespace {

Status Nonsense(std::string_view text) {
  return {Code::kInvalid, fmt::format("no descriptors of stores: '{}'", text)};
}

// A number and the character behind it, which go; -1 if there is none.
int TakeNumber(std::string_view* text) {
  int number = -1;
  const char* const end = text->data() + text->size();
  const auto [behind, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc() || behind == end || number < 0) return -1;
  text->remove_prefix(static_cast<size_t>(behind - text->data()) + 1);
  return number;
}

}  // namespace

Result<WitnessBox::Ends> StoreRemains::OpenWitnesses() const {
  if (descriptors.size() != 2) return Status(Code::kInvalid, "a store without witnesses");
  return WitnessBox::Duplicate(descriptors[0].get(), descriptors[1].get());
}

Result<std::string> StoreRemains::MemoryPlace() const {
  if (descriptors.size() != 1) return Status(Code::kInvalid, "a store that is not in memory");
  return fmt::format("/proc/self/fd/{}/store", descriptors[0].get());
}

Result<AllRemains> MakeRemains(const NodeConfig& config) {
  AllRemains all;
  for (const StoreConfig& store : config.stores) {
    std::vector<Fd>& descriptors = all[store.name].descriptors;
    if (IsInMemory(store)) {
      ASSIGN_OR_RETURN(descriptors.emplace_back(), MakePlaceInMemory(store));
    } else {
      ASSIGN_OR_RETURN(WitnessBox::Ends ends, WitnessBox::Make());
      descriptors.push_back(std::move(ends.put));
      descriptors.push_back(std::move(ends.take));
    }
  }
  return all;
}

std::vector<int> DescriptorsOf(const AllRemains& all) {
  std::vector<int> fds;
  for (const auto& [name, remains] : all) {
    for (const Fd& fd : remains.descriptors) fds.push_back(fd.get());
  }
  return fds;
}

std::string CountsOf(const AllRemains& all) {
  std::string text;
  for (const auto& [name, remains] : all) {
    text += fmt::format("{} {}\n", remains.descriptors.size(), name);
  }
  return text;
}

Result<AllRemains> RemainsFrom(std::string_view counts, std::vector<Fd> descriptors) {
  AllRemains all;
  size_t used = 0;
  while (!counts.empty()) {
    std::string_view line = counts.substr(0, counts.find('\n'));
    counts.remove_prefix(std::min(line.size() + 1, counts.size()));
    const int count = TakeNumber(&line);
    if (count < 1 || count > 2 || static_cast<size_t>(count) > descriptors.size() - used) {
      return Nonsense(line);
    }
    const auto first = descriptors.begin() + static_cast<ptrdiff_t>(used);
    all[std::string(line)].descriptors.assign(std::make_move_iterator(first),
                                              std::make_move_iterator(first + count));
    used += static_cast<size_t>(count);
  }
  if (used != descriptors.size()) return Nonsense("too many");
  return all;
}

std::string InheritSpecOf(const AllRemains& all) {
  return fmt::format("{},\n{}", fmt::join(DescriptorsOf(all), ","), CountsOf(all));
}

Result<AllRemains> RemainsFromSpec(std::string_view spec) {
  std::vector<Fd> descriptors;
  while (!spec.empty() && spec.front() != '\n') {
    std::string_view rest = spec;
    const int fd = TakeNumber(&rest);
    if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return Nonsense(spec);
    descriptors.emplace_back(fd);
    spec = rest;
  }
  if (spec.empty()) return Nonsense(spec);
  return RemainsFrom(spec.substr(1), std::move(descriptors));
}

}  // namespace atl
