// SPDX-License-Identifier: Apache-2.0
//
// The server's side of the handshake ("Newstyle negotiation", "Fixed newstyle negotiation",
// "Option types") as a machine without I/O: bytes in, bytes and needs out.
//
//                 Feed                      Feed
//   kClientFlags ------> kBytes (an option) ----> kList   -- AnswerList ----+
//                          ^    |    |    \                                 |
//                          |    |    |     +---> kExport -- AnswerExport --+|
//                          |    |    +--------> kHangUp <--- (EXPORT_NAME) |/
//                          +----+--------------------------- refused, INFO /
//                                               kTransmit <-- GO, EXPORT_NAME
//
// Whoever drives it sends what `output()` holds before it does anything else, in every state, also
// before it hangs up. Bytes are consumed by whole messages only, so the driver keeps at least
// kOptionHeaderBytes + kMaxOptionBytes of them together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/nbd/protocol.h"
#include "xseg/base/bytes.h"
#include "xseg/base/status.h"

namespace atl::nbd {

// What the handshake tells about an export.
struct ExportFacts {
  std::string name;
  std::string description;
  uint64_t size = 0;
  bool read_only = false;
};

struct ExportPage {
  struct Item {
    std::string name;
    std::string description;
  };
  std::vector<Item> items;
  bool last = true;
};

// What transmission builds upon.
struct Negotiated {
  bool structured = false;
  bool block_status = false;  // base:allocation was selected for the export that was opened.
};

// "Transmission flags": the same for INFO, GO and EXPORT_NAME.
uint16_t TransmissionFlags(bool read_only, bool structured);

// The id by which block status chunks name base:allocation.
inline constexpr uint32_t kAllocationContext = 1;

class Handshake {
 public:
  enum class Need : uint8_t {
    kBytes,     // More from the client.
    kList,      // AnswerList, with the exports after `list_after()`.
    kExport,    // AnswerExport for `export_name()`, opened if `wants_open()`.
    kTransmit,  // The handshake is over; the rest of the bytes is requests.
    kHangUp,    // Close the connection.
  };

  // The greeting waits in the output.
  Handshake();

  // Consumes messages from the front of `in` until something else than bytes is needed, and says
  // how many bytes that was.
  size_t Feed(ConstSpan in);
  Need need() const { return need_; }
  // Why the client was hung up on, for the log.
  std::string_view reason() const { return reason_; }

  const std::string& export_name() const { return name_; }
  bool wants_open() const { return option_ == kOptGo || option_ == kOptExportName; }
  const std::string& list_after() const { return list_after_; }
  void AnswerList(const Result<ExportPage>& page);
  void AnswerExport(const Result<ExportFacts>& facts);

  // To be sent, then cleared, by the driver.
  Bytes& output() { return output_; }
  // Valid in kTransmit.
  const Negotiated& negotiated() const { return negotiated_; }

 private:
  size_t FeedClientFlags(ConstSpan in);
  size_t FeedOption(ConstSpan in);
  size_t Skip(ConstSpan in);
  void BeginSkip(uint32_t option, uint32_t length);
  void OnOption(uint32_t option, ConstSpan data);
  void OnExportName(ConstSpan data);
  void OnList(ConstSpan data);
  void OnInfo(ConstSpan data);
  void OnStructuredReply(ConstSpan data);
  void OnMetaContext(ConstSpan data);
  bool WantsAllocation(std::string_view query) const;
  void AnswerInfo(const ExportFacts& facts);
  void AnswerExportName(const ExportFacts& facts);
  void AnswerMetaContext();
  void EnterTransmission();

  void PutReply(OptionReply type, uint32_t length);
  void Ack() { PutReply(kRepAck, 0); }
  void Refuse(OptionReply type, std::string_view text);
  void HangUp(std::string_view reason);

  Need need_ = Need::kBytes;
  bool greeted_ = false;  // The client's flags have come.
  bool fixed_ = false;
  bool no_zeroes_ = false;
  uint32_t options_ = 0;
  uint32_t skip_ = 0;
  OptionReply after_skip_ = kRepErrUnsup;
  std::string_view reason_;

  // Of the option that is being answered.
  uint32_t option_ = 0;
  std::string name_;
  uint32_t infos_ = 0;  // Bit i: information i was asked for.
  bool allocation_ = false;
  std::string list_after_;

  // SET_META_CONTEXT counts only for the export that it named.
  bool meta_selected_ = false;
  std::string meta_name_;
  Negotiated negotiated_;
  Bytes output_;
};

}  // namespace atl::nbd
