// SPDX-License-Identifier: Apache-2.0
//
// What a dead process held, found by looking at the tables, in two steps with the caller's word in
// between:
//
//   1. Quarantine(port): its process is dead. Requests that it sent and nobody has accepted are
//      withdrawn; answers that it may not have announced are announced again; everybody is rung.
//      Nothing is reused yet: I/O that the dead process started may still land in its buffers, or
//      from them on a disk.
//   2. The caller makes sure that this I/O is over (`adopt` of every blob that it had).
//   3. Release(port): slots and buffers are free again, the port is vacant. Refused while living
//      peers still work on a request of the dead one, since they use its buffers: they answer, then
//      try again.
//   4. The successor claims the port's name and calls Port::Replay, or, if there is to be none,
//      Abandon(port) answers whatever waits with an error.
//
// What if the reclaiming process dies now? Each step may be repeated from its beginning, by
// anybody.
//
// Threads: one at a time does this to one port; the other peers go on meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "xseg/base/status.h"
#include "xseg/segment.h"

namespace atl {

// Ports whose owner has died, quarantined or not.
std::vector<PortIndex> PortsOfTheDead(const Segment& segment);
// Ports that this process, dead or alive, owns.
std::vector<PortIndex> PortsOf(const Segment& segment, const ProcessId& process);

struct QuarantineReport {
  uint32_t withdrawn = 0;    // Sent, not accepted: taken back.
  uint32_t in_flight = 0;    // Sent, and others work on them.
  uint32_t to_replay = 0;    // Waiting for it, or accepted by it: its successor gets them.
  uint32_t reannounced = 0;  // Answered by it just before.
};
enum class ProofOfDeath {
  kCheckProcess,  // Look whether the owner's process lives.
  kCallerKnows,   // It was killed and reaped, or it is a thread that has ended.
};
// kBusy if its process lives; kConflict if the port has no owner.
Result<QuarantineReport> Quarantine(const Segment& segment, PortIndex port,
                                    ProofOfDeath proof = ProofOfDeath::kCheckProcess);

// Requests of a quarantined port that others work on.
uint32_t InFlightOf(const Segment& segment, PortIndex port);

struct ReleaseReport {
  uint32_t slots = 0;   // That were not free.
  uint64_t blocks = 0;  // Of buffers.
};
// kConflict unless it is quarantined; kBusy while InFlightOf is not 0.
Result<ReleaseReport> Release(const Segment& segment, PortIndex port);

// vacant -> free: nobody will serve this name. Answers all that waits with `code`; how many.
Result<uint32_t> Abandon(const Segment& segment, PortIndex port, Code code);

}  // namespace atl
