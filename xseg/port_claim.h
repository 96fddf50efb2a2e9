// SPDX-License-Identifier: Apache-2.0
//
// Changes of a port's owner: the arrows of the drawing in port_record.h that the owner itself
// makes, and those few writes to slots that any peer may make on behalf of another. Reclaim
// (reclaim.h) makes the other arrows.
//
// Threads: any; the control words decide.
#pragma once

#include <string_view>

#include "xseg/base/status.h"
#include "xseg/segment.h"

namespace atl {

struct ClaimedPort {
  PortIndex index;
  uint32_t incarnation;
};
// See Port::Claim. Two who claim one new name at the same time may both get kBusy: try again.
Result<ClaimedPort> ClaimPort(const Segment& segment, std::string_view name);
Result<PortIndex> FindPort(const Segment& segment, std::string_view name);

// active -> free, or vacant if requests wait for it.
void GiveUpPort(const Segment& segment, PortIndex port);
// active or claiming -> quarantined. False if it was in another state.
bool MarkQuarantined(const Segment& segment, PortIndex port);

// Tells the owner of an answered slot, which then is to be rung. May be repeated.
void PostAnswer(const Segment& segment, SlotIndex slot);
void RingPort(const Segment& segment, PortIndex port);
// Answers whatever `port` holds or should accept, for a port that nobody serves. Returns how many.
uint32_t AnswerAllHeldBy(const Segment& segment, PortIndex port, Code code);

}  // namespace atl
