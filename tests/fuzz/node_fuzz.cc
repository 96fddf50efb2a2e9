// SPDX-License-Identifier: Apache-2.0
//
// Feeds what the processes of one node tell each other and hand on: the messages between peers, the
// ledger, and what a peer leaves to its successor. The first byte chooses. What is decoded must
// encode to the same bytes again; what a ledger says must stay so when somebody goes on with it.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "peers/codec.h"
#include "peers/map_ops.h"
#include "peers/port_ops.h"
#include "peers/store_ops.h"
#include "tools/node/heirloom.h"
#include "tools/node/ledger.h"

namespace atl {
namespace {

constexpr uint8_t kLedger = 0xFE;
constexpr uint8_t kHeirloom = 0xFF;

template <typename T>
void Try(ConstSpan bytes) {
  const auto value = DecodeMessage<T>(bytes);
  if (value.ok()) CHECK(std::ranges::equal(EncodeMessage(*value), bytes));
}

template <typename... Ops>
size_t TryOne(OpList<Ops...>, size_t choice, ConstSpan bytes) {
  size_t index = 0;
  ((index++ == choice ? Try<Ops>(bytes) : void()), ...);
  ((index++ == choice ? Try<typename Ops::Wire::Reply>(bytes) : void()), ...);
  return index;
}

Fd FileOf(ConstSpan bytes) {
  Fd file(memfd_create("fuzz", MFD_CLOEXEC));
  CHECK(write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return file;
}

Fd Copy(int fd) { return Fd(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

void TryLedger(ConstSpan bytes) {
  const Fd file = FileOf(bytes);
  auto ledger = Ledger::Load(Copy(file.get()));
  if (!ledger.ok()) {
    CHECK(ledger.code() == Code::kCorrupt) << ledger.status().ToString();
    return;
  }
  const Holding noted{.resource = Uuid::FromRandom(1, 2)};
  const auto before = ledger->of("store a");
  CHECK(ledger->Note("composer", noted).ok());
  auto again = Ledger::Load(Copy(file.get()));
  CHECK(again.ok() && again->of("composer").contains(noted));
  CHECK(again->of("store a") == before);
  CHECK(again->Drop("composer", noted).ok());
  auto third = Ledger::Load(Copy(file.get()));
  CHECK(third.ok() && !third->of("composer").contains(noted));
}

void TryHeirloom(ConstSpan bytes) {
  const Fd file = FileOf(bytes);
  const auto heirloom = ReadHeirloomFile(file.get());
  if (!heirloom.ok()) return;
  const auto again = MakeHeirloomFile(*heirloom);
  CHECK(again.ok());
  Bytes written(bytes.size() + 1);
  const ssize_t got = pread(again->get(), written.data(), written.size(), 0);
  CHECK(got == static_cast<ssize_t>(bytes.size()));
  CHECK(std::equal(bytes.begin(), bytes.end(), written.begin()));
}

void Fuzz(uint8_t pick, ConstSpan bytes) {
  if (pick == kLedger) return TryLedger(bytes);
  if (pick == kHeirloom) return TryHeirloom(bytes);
  size_t choice = pick;
  choice -= TryOne(StoreOps{}, choice, bytes);
  choice -= TryOne(MapOps{}, choice, bytes);
  choice -= TryOne(PortOps{}, choice, bytes);
  choice -= TryOne(HoldingOps{}, choice, bytes);
  TryOne(OpList<ErrorTextOp, PeerStatsOp>{}, choice, bytes);
}

}  // namespace
}  // namespace atl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  atl::Fuzz(data[0], {reinterpret_cast<const std::byte*>(data) + 1, size - 1});
  return 0;
}
