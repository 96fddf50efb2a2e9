// SPDX-License-Identifier: Apache-2.0
//
// The descriptors that make up a segment in a process: its memory file and one eventfd for each
// port. The segment itself stores no descriptor number. They reach another process in one of two
// ways:
//
//   - inherited: `ClearCloseOnExec`, then fork and exec with `InheritSpec` as an argument; the
//     child calls `FromInheritSpec`;
//   - over a Unix socket: `SendSegment` and `ReceiveSegment` (descriptor_passing.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl {

struct SegmentFds {
  Fd memory;
  std::vector<Fd> doorbells;  // Eventfds, one for each port.

  // Descriptors of its own for the same things.
  Result<SegmentFds> Duplicate() const;
  // They stay open across exec, under the same numbers.
  Status ClearCloseOnExec() const;
  // "3,4,5,6": the numbers, memory first.
  std::string InheritSpec() const;
  // Takes over descriptors of this process that it inherited; kInvalid for nonsense.
  static Result<SegmentFds> FromInheritSpec(std::string_view spec);
};

// Both may block for as long as the socket does.
Status SendSegment(int socket, const SegmentFds& fds);
Result<SegmentFds> ReceiveSegment(int socket);

}  // namespace atl
