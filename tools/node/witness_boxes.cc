// SPDX-License-Identifier: Apache-2.0
#include "tools/node/witness_boxes.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <charconv>

namespace atl {
namespace {

// The number in front of a colon, which goes.
Result<Fd> TakeNumber(std::string_view* line) {
  int number = -1;
  const auto [end, error] = std::from_chars(line->data(), line->data() + line->size(), number);
  const bool good = error == std::errc() && end != line->data() + line->size() && *end == ':';
  if (!good || number < 0 || fcntl(number, F_SETFD, FD_CLOEXEC) != 0) {
    return Status(Code::kInvalid, fmt::format("no descriptor of a witness box: {}", *line));
  }
  line->remove_prefix(static_cast<size_t>(end - line->data()) + 1);
  return Fd(number);
}

}  // namespace

Result<WitnessBoxes> MakeWitnessBoxes(const NodeConfig& config) {
  WitnessBoxes boxes;
  for (const StoreConfig& store : config.stores) {
    ASSIGN_OR_RETURN(boxes[store.name], WitnessBox::Make());
  }
  return boxes;
}

std::vector<int> DescriptorsOf(const WitnessBoxes& boxes) {
  std::vector<int> fds;
  for (const auto& [name, ends] : boxes) fds.insert(fds.end(), {ends.put.get(), ends.take.get()});
  return fds;
}

std::string InheritSpecOf(const WitnessBoxes& boxes) {
  std::string spec;
  for (const auto& [name, ends] : boxes) {
    spec += fmt::format("{}:{}:{}\n", ends.put.get(), ends.take.get(), name);
  }
  return spec;
}

Result<WitnessBoxes> WitnessBoxesFromSpec(std::string_view spec) {
  WitnessBoxes boxes;
  while (!spec.empty()) {
    std::string_view line = spec.substr(0, spec.find('\n'));
    spec.remove_prefix(std::min(line.size() + 1, spec.size()));
    ASSIGN_OR_RETURN(Fd put, TakeNumber(&line));
    ASSIGN_OR_RETURN(Fd take, TakeNumber(&line));
    boxes[std::string(line)] = {std::move(put), std::move(take)};
  }
  return boxes;
}

}  // namespace atl
