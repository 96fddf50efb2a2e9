// SPDX-License-Identifier: Apache-2.0
//
// `atoll segment report` and `atoll segment check` of an isolated node.
#pragma once

#include "peers/client/node_control.h"
#include "xseg/segment.h"

namespace atl {

Report ReportSegment(const Segment& segment, bool json);
// Not good if anything is wrong.
Report CheckSegmentFor(const Segment& segment, bool json);

}  // namespace atl
