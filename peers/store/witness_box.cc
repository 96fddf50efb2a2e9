// SPDX-License-Identifier: Apache-2.0
#include "peers/store/witness_box.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <utility>
#include <vector>

#include "xseg/base/units.h"
#include "xseg/descriptor_passing.h"

namespace atl {
namespace {

// For some ten thousand witnesses, where the process may ask for that much.
constexpr int kRoomBytes = 32 << 20;
// A round is made when more is void than there are witnesses, and not before it is worth it.
constexpr uint64_t kManyVoid = 256;

enum class Says : uint64_t {
  kWitness = 1,  // With the description.
  kFailed,
  kRoundEnds,
};

struct Message {
  Says says = Says::kWitness;
  FileId file;
  friend bool operator==(const Message&, const Message&) = default;
};
static_assert(sizeof(Message) == 24);

// Not to be taken for one of a process that has died in its round.
Message EndOfRound() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const auto ns = static_cast<uint64_t>(now.tv_sec * kSecond + now.tv_nsec);
  return {.says = Says::kRoundEnds, .file = {static_cast<uint64_t>(getpid()), ns}};
}

Status Put(const WitnessBox::Ends& ends, const Message& message, int description = -1) {
  const ConstSpan bytes(reinterpret_cast<const std::byte*>(&message), sizeof(message));
  const std::span<const int> descriptors(&description, description >= 0 ? 1 : 0);
  return SendDescriptors(ends.put.get(), bytes, descriptors).With("keeping a witness of a file");
}

// The first message; it stays where it is if `flags` say so (MSG_PEEK).
Result<std::pair<Message, Fd>> Take(const WitnessBox::Ends& ends, int flags) {
  Message message;
  const MutSpan bytes(reinterpret_cast<std::byte*>(&message), sizeof(message));
  ASSIGN_OR_RETURN(std::vector<Fd> fds, ReceiveDescriptors(ends.take.get(), bytes, flags));
  Fd description = fds.empty() ? Fd() : std::move(fds.front());
  if (message.says == Says::kWitness && !description.valid()) {
    return Status(Code::kCorrupt, "a witness without a description of its file");
  }
  return std::pair(message, std::move(description));
}

}  // namespace

Result<WitnessBox::Ends> WitnessBox::Duplicate(int put, int take) {
  Ends ends{Fd(fcntl(put, F_DUPFD_CLOEXEC, 0)), Fd(fcntl(take, F_DUPFD_CLOEXEC, 0))};
  if (!ends.put.valid() || !ends.take.valid()) return Status::FromErrno(errno, "dup");
  return ends;
}

Result<WitnessBox::Ends> WitnessBox::Make() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return Status::FromErrno(errno, "socketpair");
  }
  // As much as the system lets an ordinary user have, or more.
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &kRoomBytes, sizeof(kRoomBytes));
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &kRoomBytes, sizeof(kRoomBytes));
  return Ends{Fd(ends[0]), Fd(ends[1])};
}

Result<std::unique_ptr<WitnessBox>> WitnessBox::Open(Ends ends) {
  std::unique_ptr<WitnessBox> box(new WitnessBox(std::move(ends)));
  RETURN_IF_ERROR(box->GoRound(true));
  return box;
}

// A message is put behind before it is taken away, so it makes no difference where this process is
// killed: then there is one twice, and perhaps an end of a round that nobody waits for.
Status WitnessBox::GoRound(bool opening) {
  const Message end = EndOfRound();
  RETURN_IF_ERROR(Put(ends_, end));
  std::set<std::pair<FileId, Says>> seen;
  std::set<FileId> failed;
  while (true) {
    ASSIGN_OR_RETURN(auto first, Take(ends_, MSG_PEEK));
    auto& [message, description] = first;
    if (opening && message.says == Says::kWitness) witnesses_.try_emplace(message.file);
    const auto witness = witnesses_.find(message.file);
    // A failure whose witness was put behind it by a round that was cut off stays, too.
    const bool known = witness != witnesses_.end() || (opening && message.says == Says::kFailed);
    const bool stays = message.says != Says::kRoundEnds && known &&
                       seen.emplace(message.file, message.says).second;
    if (stays) RETURN_IF_ERROR(Put(ends_, message, description.get()));
    RETURN_IF_ERROR(Take(ends_, 0).status());
    if (message == end) break;
    if (!opening || !stays) continue;
    if (message.says == Says::kWitness) witness->second.left = std::move(description);
    if (message.says == Says::kFailed) failed.insert(message.file);
  }
  for (const FileId file : failed) {
    const auto witness = witnesses_.find(file);
    if (witness != witnesses_.end()) witness->second.failed = true;
  }
  void_messages_ = 0;
  return {};
}

const WitnessBox::Witness* WitnessBox::Find(FileId file) const {
  const auto found = witnesses_.find(file);
  return found == witnesses_.end() ? nullptr : &found->second;
}

Status WitnessBox::Keep(FileId file, Fd description) {
  if (witnesses_.contains(file)) return {};
  RETURN_IF_ERROR(Put(ends_, {.says = Says::kWitness, .file = file}, description.get()));
  witnesses_.try_emplace(file);
  return {};
}

Status WitnessBox::NoteFailure(FileId file) {
  const auto found = witnesses_.find(file);
  if (found == witnesses_.end() || found->second.failed) return {};
  RETURN_IF_ERROR(Put(ends_, {.says = Says::kFailed, .file = file}));
  found->second.failed = true;
  return {};
}

void WitnessBox::Forget(FileId file) {
  const auto found = witnesses_.find(file);
  if (found == witnesses_.end()) return;
  void_messages_ += found->second.failed ? 2 : 1;
  witnesses_.erase(found);
  // What cannot be done now will be tried again.
  if (void_messages_ > witnesses_.size() + kManyVoid) (void)GoRound(false);
}

Status WitnessBox::Settle() {
  const auto is_removed = [](const auto& witness) {
    struct stat info;
    const int fd = witness.second.left.get();
    return fd >= 0 && fstat(fd, &info) == 0 && info.st_nlink == 0;
  };
  void_messages_ += std::erase_if(witnesses_, is_removed);
  return void_messages_ == 0 ? Status() : GoRound(false);
}

}  // namespace atl
