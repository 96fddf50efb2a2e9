// SPDX-License-Identifier: Apache-2.0
#include "xseg/segment_fds.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "xseg/descriptor_passing.h"
#include "xseg/geometry.h"

namespace atl {
namespace {

// First bytes of the message that carries the descriptors.
constexpr std::string_view kGreeting = "ATLSEGM1";

Result<Fd> DuplicateFd(int fd) {
  Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return Status::FromErrno(errno, "fcntl(F_DUPFD_CLOEXEC)");
  return copy;
}

Status SetCloseOnExec(int fd, bool on) {
  if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) != 0) {
    return Status::FromErrno(errno, fmt::format("fcntl(F_SETFD) of descriptor {}", fd));
  }
  return {};
}

Result<std::vector<int>> ParseNumbers(std::string_view spec) {
  const Status nonsense(Code::kInvalid, fmt::format("no list of descriptors: '{}'", spec));
  std::vector<int> numbers;
  const char* at = spec.data();
  const char* const end = at + spec.size();
  while (true) {
    int number = -1;
    const auto [next, error] = std::from_chars(at, end, number);
    const bool seen = std::find(numbers.begin(), numbers.end(), number) != numbers.end();
    if (error != std::errc() || number < 0 || seen || numbers.size() > kMaxPorts) return nonsense;
    numbers.push_back(number);
    if (next == end) return numbers;
    if (*next != ',') return nonsense;
    at = next + 1;
  }
}

}  // namespace

Result<SegmentFds> SegmentFds::Duplicate() const {
  SegmentFds out;
  ASSIGN_OR_RETURN(out.memory, DuplicateFd(memory.get()));
  for (const Fd& doorbell : doorbells) {
    ASSIGN_OR_RETURN(Fd copy, DuplicateFd(doorbell.get()));
    out.doorbells.push_back(std::move(copy));
  }
  return out;
}

Status SegmentFds::ClearCloseOnExec() const {
  RETURN_IF_ERROR(SetCloseOnExec(memory.get(), false));
  for (const Fd& doorbell : doorbells) RETURN_IF_ERROR(SetCloseOnExec(doorbell.get(), false));
  return {};
}

std::string SegmentFds::InheritSpec() const {
  std::string spec = fmt::format("{}", memory.get());
  for (const Fd& doorbell : doorbells) spec += fmt::format(",{}", doorbell.get());
  return spec;
}

Result<SegmentFds> SegmentFds::FromInheritSpec(std::string_view spec) {
  // Nothing is owned before all of it makes sense: a wrong number must not close what is not ours.
  ASSIGN_OR_RETURN(const std::vector<int> numbers, ParseNumbers(spec));
  for (const int number : numbers) RETURN_IF_ERROR(SetCloseOnExec(number, true));
  SegmentFds out;
  out.memory = Fd(numbers.front());
  for (size_t i = 1; i < numbers.size(); ++i) out.doorbells.emplace_back(numbers[i]);
  return out;
}

Status SendSegment(int socket, const SegmentFds& fds) {
  std::vector<int> numbers = {fds.memory.get()};
  for (const Fd& doorbell : fds.doorbells) numbers.push_back(doorbell.get());
  return SendDescriptors(socket, AsBytes(kGreeting), numbers);
}

Result<SegmentFds> ReceiveSegment(int socket) {
  Bytes greeting(kGreeting.size());
  ASSIGN_OR_RETURN(std::vector<Fd> received, ReceiveDescriptors(socket, greeting));
  if (AsText(greeting) != kGreeting || received.empty()) {
    return Status(Code::kInvalid, "the other side sent no segment");
  }
  SegmentFds out;
  out.memory = std::move(received.front());
  received.erase(received.begin());
  out.doorbells = std::move(received);
  return out;
}

}  // namespace atl
