// SPDX-License-Identifier: Apache-2.0
//
// Descriptors over a Unix stream socket (SCM_RIGHTS), and who is at its other end (SO_PEERCRED).
#pragma once

#include <sys/types.h>

#include <span>
#include <vector>

#include "xseg/base/bytes.h"
#include "xseg/base/fd.h"
#include "xseg/base/status.h"

namespace atl {

inline constexpr size_t kMaxPassedDescriptors = 253;  // The kernel takes no more.

// One message: `bytes` (at least one) with the descriptors.
Status SendDescriptors(int socket, ConstSpan bytes, std::span<const int> descriptors);
// Fills all of `bytes`, which came in one message; descriptors that come with it are closed on
// exec. `flags` as of recvmsg(2): MSG_PEEK gives descriptors of one's own, too.
Result<std::vector<Fd>> ReceiveDescriptors(int socket, MutSpan bytes, int flags = 0);

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};
// As of the moment when the other end connected.
Result<PeerCredentials> CredentialsOf(int socket);

}  // namespace atl
