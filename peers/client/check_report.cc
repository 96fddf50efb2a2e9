// SPDX-License-Identifier: Apache-2.0
#include "peers/client/check_report.h"

namespace atl {

std::string_view ToString(Severity severity) {
  return severity == Severity::kNote ? "note" : "error";
}

std::string_view ToString(ScrubState state) {
  switch (state) {
    case ScrubState::kNever:
      return "never";
    case ScrubState::kRunning:
      return "running";
    case ScrubState::kDone:
      return "done";
    case ScrubState::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

}  // namespace atl
