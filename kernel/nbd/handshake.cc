// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/handshake.h"

#include <algorithm>

#include "kernel/nbd/errors.h"
#include "kernel/nbd/limits.h"
#include "kernel/nbd/wire.h"
#include "xseg/base/check.h"

namespace atl::nbd {
namespace {

constexpr std::string_view kAllocationName = "base:allocation";

bool IsKnown(uint32_t option) {
  switch (option) {
    case kOptExportName:
    case kOptAbort:
    case kOptList:
    case kOptInfo:
    case kOptGo:
    case kOptStructuredReply:
    case kOptListMetaContext:
    case kOptSetMetaContext:
      return true;
    default:
      return false;
  }
}

}  // namespace

uint16_t TransmissionFlags(bool read_only, bool structured) {
  unsigned flags = kHasFlags | kSendFlush | kSendFua | kSendCache | kCanMultiConn;
  flags |= read_only ? kReadOnly : kSendTrim | kSendWriteZeroes | kSendFastZero;
  if (structured) flags |= kSendDf;
  return static_cast<uint16_t>(flags);
}

Handshake::Handshake() {
  PutBe(output_, kNbdMagic);
  PutBe(output_, kOptionMagic);
  PutBe(output_, static_cast<uint16_t>(kFlagFixedNewstyle | kFlagNoZeroes));
}

size_t Handshake::Feed(ConstSpan in) {
  size_t total = 0;
  while (need_ == Need::kBytes) {
    const ConstSpan rest = in.subspan(total);
    const size_t used = !greeted_   ? FeedClientFlags(rest)
                        : skip_ > 0 ? Skip(rest)
                                    : FeedOption(rest);
    if (used == 0) break;
    total += used;
  }
  return total;
}

size_t Handshake::FeedClientFlags(ConstSpan in) {
  if (in.size() < sizeof(uint32_t)) return 0;
  const auto flags = LoadBe<uint32_t>(in.data());
  greeted_ = true;
  fixed_ = (flags & kClientFixedNewstyle) != 0;
  no_zeroes_ = (flags & kClientNoZeroes) != 0;
  if ((flags & ~(kClientFixedNewstyle | kClientNoZeroes)) != 0) HangUp("unknown client flags");
  return sizeof(flags);
}

size_t Handshake::FeedOption(ConstSpan in) {
  // Nonsense is answered at its first wrong byte, not after a whole header of it.
  Bytes magic;
  PutBe(magic, kOptionMagic);
  const size_t seen = std::min(in.size(), magic.size());
  if (!std::equal(in.begin(), in.begin() + seen, magic.begin())) {
    HangUp("not an option");
    return 0;
  }
  if (in.size() < kOptionHeaderBytes) return 0;
  const auto option = LoadBe<uint32_t>(in.data() + 8);
  const auto length = LoadBe<uint32_t>(in.data() + 12);
  if (length > kMaxOptionBytes) {
    if (++options_ > kMaxOptions) {
      HangUp("too many options");
    } else {
      BeginSkip(option, length);
    }
    return kOptionHeaderBytes;
  }
  if (in.size() < kOptionHeaderBytes + length) return 0;
  OnOption(option, in.subspan(kOptionHeaderBytes, length));
  return kOptionHeaderBytes + length;
}

void Handshake::BeginSkip(uint32_t option, uint32_t length) {
  if (!fixed_ || option == kOptExportName) return HangUp("an export name that is too long");
  if (length > kMaxSkippedOptionBytes) return HangUp("an option that is far too long");
  option_ = option;
  skip_ = length;
  after_skip_ = IsKnown(option) ? kRepErrTooBig : kRepErrUnsup;
  // "SET_META_CONTEXT replaces all previously-set contexts (including when this command fails)".
  if (option == kOptSetMetaContext) meta_selected_ = false;
}

size_t Handshake::Skip(ConstSpan in) {
  const size_t used = std::min<size_t>(skip_, in.size());
  skip_ -= static_cast<uint32_t>(used);
  if (skip_ > 0 || used == 0) return used;
  if (option_ == kOptAbort) {
    Ack();
    HangUp("the client aborted");
  } else {
    Refuse(after_skip_, "the option is too long");
  }
  return used;
}

void Handshake::OnOption(uint32_t option, ConstSpan data) {
  if (++options_ > kMaxOptions) return HangUp("too many options");
  option_ = option;
  if (!fixed_ && option != kOptExportName) return HangUp("an option outside of fixed newstyle");
  switch (option) {
    case kOptExportName:
      return OnExportName(data);
    case kOptAbort:
      Ack();
      return HangUp("the client aborted");
    case kOptList:
      return OnList(data);
    case kOptInfo:
    case kOptGo:
      return OnInfo(data);
    case kOptStructuredReply:
      return OnStructuredReply(data);
    case kOptListMetaContext:
    case kOptSetMetaContext:
      return OnMetaContext(data);
    case kOptStartTls:
      return Refuse(kRepErrUnsup, "no TLS here");
    default:
      return Refuse(kRepErrUnsup, "an option that this server does not know");
  }
}

void Handshake::OnExportName(ConstSpan data) {
  if (data.size() > kMaxStringBytes) return HangUp("an export name that is too long");
  name_ = AsText(data);
  need_ = Need::kExport;
}

void Handshake::OnList(ConstSpan data) {
  if (!data.empty()) return Refuse(kRepErrInvalid, "LIST has no data");
  list_after_.clear();
  need_ = Need::kList;
}

void Handshake::OnInfo(ConstSpan data) {
  BeReader in(data);
  const auto name_length = in.Get<uint32_t>();
  if (in.ok() && name_length > kMaxStringBytes) {
    return Refuse(kRepErrTooBig, "an export name has at most 4096 bytes");
  }
  name_ = in.Text(name_length);
  const auto count = in.Get<uint16_t>();
  infos_ = 0;
  for (unsigned i = 0; i < count && in.ok(); ++i) {
    const auto info = in.Get<uint16_t>();
    if (info < 32) infos_ |= 1u << info;
  }
  if (!in.done()) return Refuse(kRepErrInvalid, "the lengths in the option do not add up");
  need_ = Need::kExport;
}

void Handshake::OnStructuredReply(ConstSpan data) {
  if (!data.empty()) return Refuse(kRepErrInvalid, "STRUCTURED_REPLY has no data");
  negotiated_.structured = true;
  Ack();
}

void Handshake::OnMetaContext(ConstSpan data) {
  if (option_ == kOptSetMetaContext) meta_selected_ = false;
  if (!negotiated_.structured) {
    return Refuse(kRepErrInvalid, "metadata contexts need structured replies");
  }
  BeReader in(data);
  const auto name_length = in.Get<uint32_t>();
  if (in.ok() && name_length > kMaxStringBytes) {
    return Refuse(kRepErrTooBig, "an export name has at most 4096 bytes");
  }
  name_ = in.Text(name_length);
  const auto count = in.Get<uint32_t>();
  if (in.ok() && count > kMaxMetaQueries) {
    return Refuse(kRepErrTooBig, "more queries than this server takes");
  }
  allocation_ = count == 0 && option_ == kOptListMetaContext;
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    const auto length = in.Get<uint32_t>();
    if (in.ok() && length > kMaxStringBytes) {
      return Refuse(kRepErrTooBig, "a query has at most 4096 bytes");
    }
    if (WantsAllocation(in.Text(length))) allocation_ = true;
  }
  if (!in.done()) return Refuse(kRepErrInvalid, "the lengths in the option do not add up");
  need_ = Need::kExport;
}

bool Handshake::WantsAllocation(std::string_view query) const {
  if (query == kAllocationName) return true;
  return query == "base:" && option_ == kOptListMetaContext;
}

void Handshake::AnswerList(const Result<ExportPage>& page) {
  CHECK(need_ == Need::kList);
  need_ = Need::kBytes;
  if (!page.ok()) return Refuse(OptionReplyOf(page.status()), page.status().message());
  for (const auto& item : page->items) {
    const size_t bytes = 4 + item.name.size() + item.description.size();
    PutReply(kRepServer, static_cast<uint32_t>(bytes));
    PutBe(output_, static_cast<uint32_t>(item.name.size()));
    PutText(output_, item.name);
    PutText(output_, item.description);
  }
  if (page->last || page->items.empty()) return Ack();
  list_after_ = page->items.back().name;
  need_ = Need::kList;
}

void Handshake::AnswerExport(const Result<ExportFacts>& facts) {
  CHECK(need_ == Need::kExport);
  need_ = Need::kBytes;
  if (!facts.ok()) {
    if (option_ == kOptExportName) return HangUp("EXPORT_NAME of an export that is not available");
    return Refuse(OptionReplyOf(facts.status()), facts.status().message());
  }
  switch (option_) {
    case kOptExportName:
      return AnswerExportName(*facts);
    case kOptListMetaContext:
    case kOptSetMetaContext:
      return AnswerMetaContext();
    default:
      return AnswerInfo(*facts);
  }
}

void Handshake::AnswerInfo(const ExportFacts& facts) {
  PutReply(kRepInfo, 12);
  PutBe(output_, static_cast<uint16_t>(kInfoExport));
  PutBe(output_, facts.size);
  PutBe(output_, TransmissionFlags(facts.read_only, negotiated_.structured));
  const auto put_text = [&](Info info, std::string_view text) {
    if ((infos_ & (1u << info)) == 0 || text.empty()) return;
    PutReply(kRepInfo, static_cast<uint32_t>(2 + text.size()));
    PutBe(output_, static_cast<uint16_t>(info));
    PutText(output_, text);
  };
  put_text(kInfoName, facts.name);
  put_text(kInfoDescription, facts.description);
  if (infos_ & (1u << kInfoBlockSize)) {
    PutReply(kRepInfo, 14);
    PutBe(output_, static_cast<uint16_t>(kInfoBlockSize));
    PutBe(output_, kMinBlock);
    PutBe(output_, kPreferredBlock);
    PutBe(output_, kMaxPayload);
  }
  Ack();
  if (option_ == kOptGo) EnterTransmission();
}

void Handshake::AnswerExportName(const ExportFacts& facts) {
  PutBe(output_, facts.size);
  PutBe(output_, TransmissionFlags(facts.read_only, negotiated_.structured));
  if (!no_zeroes_) output_.resize(output_.size() + kExportNamePadding);
  EnterTransmission();
}

void Handshake::AnswerMetaContext() {
  if (allocation_) {
    const bool set = option_ == kOptSetMetaContext;
    PutReply(kRepMetaContext, static_cast<uint32_t>(4 + kAllocationName.size()));
    PutBe(output_, set ? kAllocationContext : uint32_t{0});
    PutText(output_, kAllocationName);
    if (set) {
      meta_selected_ = true;
      meta_name_ = name_;
    }
  }
  Ack();
}

void Handshake::EnterTransmission() {
  negotiated_.block_status = meta_selected_ && meta_name_ == name_;
  need_ = Need::kTransmit;
}

void Handshake::PutReply(OptionReply type, uint32_t length) {
  PutBe(output_, kOptionReplyMagic);
  PutBe(output_, option_);
  PutBe(output_, static_cast<uint32_t>(type));
  PutBe(output_, length);
}

void Handshake::Refuse(OptionReply type, std::string_view text) {
  text = text.substr(0, kMaxErrorText);
  PutReply(type, static_cast<uint32_t>(text.size()));
  PutText(output_, text);
}

void Handshake::HangUp(std::string_view reason) {
  need_ = Need::kHangUp;
  reason_ = reason;
}

}  // namespace atl::nbd
