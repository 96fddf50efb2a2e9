// SPDX-License-Identifier: Apache-2.0
//
// What a Status becomes on the wire: one table for replies to requests ("Error values"), one for
// refused options ("Option reply types"). docs/nbd.md shows both.
#pragma once

#include "kernel/nbd/protocol.h"
#include "xseg/base/status.h"

namespace atl::nbd {

struct ErrorRow {
  Code code;
  Error error;               // Of a request.
  OptionReply option_reply;  // Of GO, INFO, LIST and the metadata options.
};
const ErrorRow& ErrorRowOf(Code code);

// ENOTSUP has one meaning only ("Error values"): a fast zero that would not be fast.
Error ErrorOf(const Status& status, bool fast_zero = false);
OptionReply OptionReplyOf(const Status& status);

}  // namespace atl::nbd
