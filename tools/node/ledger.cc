// SPDX-License-Identifier: Apache-2.0
#include "tools/node/ledger.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace atl {

// In this namespace, for the codec to find its fields.
struct LedgerEntry {
  std::string store;
  Holding what;
  bool held = false;
};
template <typename V>
void Fields(V& v, LedgerEntry& x) {
  v(x.store, x.what, x.held);
}

namespace {

constexpr uint64_t kHeader = sizeof(uint64_t);
// The file is written anew when more than this, and most of it, is void.
constexpr uint64_t kMostVoid = kMiB;
constexpr uint64_t kEntryBytes = 96;  // About.
constexpr uint32_t kMaxEntryBytes = 1024;

Status Nonsense() { return {Code::kCorrupt, "the list of what stores hold makes no sense"}; }

Bytes Encoded(const std::string& store, const Holding& what, bool held) {
  const Bytes fields = EncodeMessage(LedgerEntry{store, what, held});
  Encoder out;
  out.Put(static_cast<uint32_t>(fields.size()));
  out.Raw(fields);
  return out.Take();
}

}  // namespace

Result<Ledger> Ledger::Create() {
  Fd fd(memfd_create("atoll-ledger", MFD_CLOEXEC));
  if (!fd.valid()) return Status::FromErrno(errno, "memfd_create");
  Ledger ledger(std::move(fd));
  ledger.begin_ = ledger.end_ = kHeader;
  const uint64_t begin = kHeader;
  RETURN_IF_ERROR(ledger.WriteAt(
      0, AsBytes(std::string_view(reinterpret_cast<const char*>(&begin), sizeof(begin)))));
  return ledger;
}

Result<Ledger> Ledger::Load(Fd fd) {
  Ledger ledger(std::move(fd));
  RETURN_IF_ERROR(ledger.Read());
  return ledger;
}

Status Ledger::Read() {
  struct stat info;
  if (fstat(fd_.get(), &info) != 0) return Status::FromErrno(errno, "fstat of a ledger");
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size < kHeader) return Nonsense();
  if (pread(fd_.get(), &begin_, sizeof(begin_), 0) != sizeof(begin_)) return Nonsense();
  if (begin_ < kHeader || begin_ > size) return Nonsense();
  Bytes bytes(size - begin_);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = pread(fd_.get(), bytes.data() + done, bytes.size() - done,
                              static_cast<off_t>(begin_ + done));
    if (got <= 0) return Status::FromErrno(got < 0 ? errno : EIO, "read a ledger");
    done += static_cast<size_t>(got);
  }
  ConstSpan left(bytes);
  end_ = begin_;
  while (left.size() >= sizeof(uint32_t)) {
    Decoder head(left);
    const auto length = head.Get<uint32_t>();
    // Not whole: nobody was told that it counts.
    if (length > kMaxEntryBytes || left.size() - sizeof(length) < length) break;
    const auto entry = DecodeMessage<LedgerEntry>(left.subspan(sizeof(length), length));
    if (!entry.ok()) break;
    if (entry->held) {
      holdings_[entry->store].insert(entry->what);
    } else {
      holdings_[entry->store].erase(entry->what);
    }
    left = left.subspan(sizeof(length) + length);
    end_ += sizeof(length) + length;
  }
  // Else the end of what does not count could be taken for entries behind the next, shorter one.
  if (ftruncate(fd_.get(), static_cast<off_t>(end_)) == 0) return {};
  return Status::FromErrno(errno, "cut a ledger");
}

Status Ledger::WriteAt(uint64_t offset, ConstSpan bytes) const {
  const ssize_t put = pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (put == static_cast<ssize_t>(bytes.size())) return {};
  return Status::FromErrno(put < 0 ? errno : ENOSPC, "write to the list of what stores hold");
}

Status Ledger::Append(const std::string& store, const Holding& what, bool held) {
  const Bytes entry = Encoded(store, what, held);
  RETURN_IF_ERROR(WriteAt(end_, entry));
  end_ += entry.size();
  return {};
}

Status Ledger::Note(const std::string& store, const Holding& what) {
  if (holdings_[store].contains(what)) return {};
  RETURN_IF_ERROR(Append(store, what, true));
  holdings_[store].insert(what);
  return Compact();
}

Status Ledger::Drop(const std::string& store, const Holding& what) {
  if (!holdings_[store].contains(what)) return {};
  RETURN_IF_ERROR(Append(store, what, false));
  holdings_[store].erase(what);
  return Compact();
}

Status Ledger::Compact() {
  size_t count = 0;
  for (const auto& [store, held] : holdings_) count += held.size();
  if (end_ - begin_ < kMostVoid + 2 * count * kEntryBytes) return {};
  const uint64_t begin = end_;
  for (const auto& [store, held] : holdings_) {
    for (const Holding& what : held) {
      const Bytes entry = Encoded(store, what, true);
      RETURN_IF_ERROR(WriteAt(end_, entry));
      end_ += entry.size();
    }
  }
  RETURN_IF_ERROR(
      WriteAt(0, AsBytes(std::string_view(reinterpret_cast<const char*>(&begin), sizeof(begin)))));
  // What is void takes memory.
  const uint64_t from = std::exchange(begin_, begin);
  (void)fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                  static_cast<off_t>(begin - from));
  return {};
}

}  // namespace atl
