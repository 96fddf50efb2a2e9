// SPDX-License-Identifier: Apache-2.0
//
// How the findings of a check or a scrub are shown.
#pragma once

#include <string>

#include "peers/client/check_report.h"
#include "tools/atoll/output.h"

namespace atl {

Json JsonOf(const CheckReport& report);
// One line for each finding; then what was looked at, and how much was found.
std::string TextOf(const CheckReport& report);
// kCorrupt, with the count, if there are errors that were not repaired.
Status StatusOf(const CheckReport& report);

}  // namespace atl
