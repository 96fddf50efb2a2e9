// SPDX-License-Identifier: Apache-2.0
#include "xseg/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "tests/xseg/segment_fixture.h"

namespace atl {
namespace {

SegmentFds OnlyMemory(Fd fd) {
  SegmentFds fds;
  fds.memory = std::move(fd);
  return fds;
}

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// A file with the first page of `like`, changed by `change`, and these seals.
template <typename F>
Fd ForgedFile(const Segment& like, uint64_t size, F change, int seals = kSeals) {
  Fd fd(memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  CHECK(ftruncate(fd.get(), static_cast<off_t>(size)) == 0);
  SegmentHeader header;
  std::memcpy(&header, like.raw().data(), sizeof(header));
  change(header);
  CHECK(pwrite(fd.get(), &header, std::min<uint64_t>(sizeof(header), size), 0) >= 0);
  CHECK(seals == 0 || fcntl(fd.get(), F_ADD_SEALS, seals) == 0);
  return fd;
}

TEST(Segment, AttachSeesWhatCreateMade) {
  auto first = MakeSegment();
  auto fds = first->fds().Duplicate();
  ASSERT_TRUE(fds.ok());
  auto second = Segment::Attach(std::move(*fds));
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  EXPECT_EQ((*second)->geometry(), first->geometry());
  EXPECT_EQ((*second)->layout(), first->layout());
  EXPECT_EQ((*second)->uuid(), first->uuid());
  first->port(3).StoreName("abc");
  EXPECT_EQ((*second)->port(3).LoadName(), "abc");
}

TEST(Segment, CannotBeResizedByAnybody) {
  auto segment = MakeSegment();
  const int fd = segment->fds().memory.get();
  EXPECT_NE(ftruncate(fd, 4096), 0);
  EXPECT_NE(ftruncate(fd, static_cast<off_t>(segment->layout().total_bytes * 2)), 0);
  EXPECT_NE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
}

// A seal against new writable mappings would keep everybody out who comes later.
TEST(Segment, AttackS10NobodyMayAddASealThatShutsOthersOut) {
  auto segment = MakeSegment();
  EXPECT_EQ(fcntl(segment->fds().memory.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
  EXPECT_EQ(errno, EPERM);
  auto fds = segment->fds().Duplicate();
  ASSERT_TRUE(fds.ok());
  EXPECT_TRUE(Segment::Attach(std::move(*fds)).ok());
}

TEST(Segment, RefusesGeometryBeyondItsLimits) {
  const Uuid uuid = Uuid::FromRandom(1, 1);
  EXPECT_EQ(Segment::Create({.ports = 0}, uuid).code(), Code::kInvalid);
  EXPECT_EQ(Segment::Create({.ports = kMaxPorts + 1}, uuid).code(), Code::kInvalid);
  EXPECT_EQ(Segment::Create({.slots_per_port = 100}, uuid).code(), Code::kInvalid);
  EXPECT_EQ(Segment::Create({.slots_per_port = kMaxSlotsPerPort + 64}, uuid).code(),
            Code::kInvalid);
  EXPECT_EQ(Segment::Create({.blocks = {kMaxBlocksPerClass + 1, 1, 1}}, uuid).code(),
            Code::kInvalid);
  EXPECT_TRUE(Segment::Create({.ports = kMaxPorts, .slots_per_port = kMaxSlotsPerPort}, uuid).ok());
}

TEST(Segment, AttachingGarbageIsAStatus) {
  EXPECT_FALSE(Segment::Attach(SegmentFds{}).ok());
  EXPECT_FALSE(Segment::Attach(OnlyMemory(Fd(open("/dev/null", O_RDWR)))).ok());
  EXPECT_FALSE(Segment::Attach(OnlyMemory(Fd(open("/proc/self/exe", O_RDONLY)))).ok());
  Fd unsealed(memfd_create("unsealed", MFD_ALLOW_SEALING));
  EXPECT_FALSE(Segment::Attach(OnlyMemory(std::move(unsealed))).ok());
  auto empty = CreateSealedFile("empty", 0);
  EXPECT_FALSE(Segment::Attach(OnlyMemory(std::move(*empty))).ok());
  auto zeros = CreateSealedFile("zeros", 1 << 20);
  EXPECT_FALSE(Segment::Attach(OnlyMemory(std::move(*zeros))).ok());
}

TEST(Segment, AttachRefusesAHeaderThatLies) {
  auto real = MakeSegment();
  const uint64_t size = real->layout().total_bytes;
  const auto attach = [&](uint64_t bytes, auto change) {
    return Segment::Attach(OnlyMemory(ForgedFile(*real, bytes, change))).code();
  };
  EXPECT_EQ(attach(size, [](SegmentHeader&) {}), Code::kOk);
  EXPECT_EQ(attach(size, [](SegmentHeader& h) { h.magic ^= 1; }), Code::kInvalid);
  EXPECT_EQ(attach(size, [](SegmentHeader& h) { h.version = kSegmentVersion + 1; }),
            Code::kUnsupported);
  EXPECT_EQ(attach(size, [](SegmentHeader& h) { h.ports = ~0u; }), Code::kInvalid);
  EXPECT_EQ(attach(size, [](SegmentHeader& h) { h.ports += 1; }), Code::kCorrupt);
  EXPECT_EQ(attach(size, [](SegmentHeader& h) { h.area_at += 4096; }), Code::kCorrupt);
  EXPECT_EQ(attach(size, [](SegmentHeader& h) { h.checksum ^= 1; }), Code::kCorrupt);
  EXPECT_EQ(attach(size - 4096, [](SegmentHeader&) {}), Code::kCorrupt);
  EXPECT_EQ(attach(64, [](SegmentHeader&) {}), Code::kInvalid);
}

// Whoever could cut it would end the process that looks at what was cut off.
TEST(Segment, AttackS10AFileThatCanStillBeCutIsNotAttached) {
  auto real = MakeSegment();
  const uint64_t size = real->layout().total_bytes;
  for (const int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL, kSeals}) {
    auto forged = ForgedFile(*real, size, [](SegmentHeader&) {}, kSeals & ~missing);
    EXPECT_EQ(Segment::Attach(OnlyMemory(std::move(forged))).code(), Code::kInvalid) << missing;
  }
}

TEST(Segment, AnyDamagedHeaderBitIsNoticed) {
  auto real = MakeSegment();
  // The uuid is covered by the checksum, so every bit of the header counts.
  for (size_t bit = 0; bit < sizeof(SegmentHeader) * 8; ++bit) {
    auto forged = ForgedFile(*real, real->layout().total_bytes, [&](SegmentHeader& h) {
      reinterpret_cast<unsigned char*>(&h)[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
    });
    EXPECT_FALSE(Segment::Attach(OnlyMemory(std::move(forged))).ok()) << bit;
  }
}

TEST(Segment, ReferencesOutsideOfTheAreaAreRefused) {
  auto segment = MakeSegment();
  const uint64_t size = segment->area().size();
  EXPECT_TRUE(segment->Resolve({size - 1, 1}).ok());
  EXPECT_TRUE(segment->Resolve({size, 0}).ok());
  EXPECT_FALSE(segment->Resolve({size, 1}).ok());
  EXPECT_FALSE(segment->Resolve({~0ull, 1}).ok());
  EXPECT_FALSE(segment->Resolve({~0ull - 4, 8}).ok());
  EXPECT_FALSE(segment->Resolve({0, ~0u}).ok());
}

TEST(Segment, PartsDoNotOverlapAndBuffersArePageAligned) {
  auto segment = MakeSegment();
  const auto& at = segment->layout();
  EXPECT_LT(at.ports_at, at.slots_at);
  EXPECT_LE(at.slots_at + segment->slot_count() * kSlotBytes, at.mailboxes_at);
  EXPECT_LE(at.mailboxes_at + 8 * 8 * sizeof(Mailbox), at.metrics_at);
  EXPECT_LE(at.metrics_at + 8 * sizeof(PortMetrics), at.block_words_at);
  EXPECT_LT(at.block_words_at, at.hints_at);
  EXPECT_LE(at.hints_at + 3 * kCacheLine, at.area_at);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(segment->area().data()) % kPageBytes, 0u);
  EXPECT_EQ(at.area_bytes, 64 * 4 * kKiB + 16 * 64 * kKiB + 40 * kMiB);
}

TEST(SegmentFds, TravelOverASocket) {
  auto segment = MakeSegment();
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Fd a(ends[0]);
  const Fd b(ends[1]);
  ASSERT_TRUE(SendSegment(a.get(), segment->fds()).ok());
  auto received = ReceiveSegment(b.get());
  ASSERT_TRUE(received.ok()) << received.status().ToString();
  EXPECT_EQ(received->doorbells.size(), 8u);
  EXPECT_TRUE(Segment::Attach(std::move(*received)).ok());
}

TEST(SegmentFds, TheFullSixtyFourDoorbellsTravelToo) {
  auto segment = MakeSegment({.ports = kMaxPorts, .slots_per_port = 64, .blocks = {1, 1, 1}});
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Fd a(ends[0]);
  const Fd b(ends[1]);
  ASSERT_TRUE(SendSegment(a.get(), segment->fds()).ok());
  auto received = ReceiveSegment(b.get());
  ASSERT_TRUE(received.ok());
  EXPECT_EQ(received->doorbells.size(), kMaxPorts);
}

TEST(SegmentFds, AreInheritedByNumber) {
  auto segment = MakeSegment();
  auto copy = segment->fds().Duplicate();
  ASSERT_TRUE(copy->ClearCloseOnExec().ok());
  EXPECT_EQ(fcntl(copy->memory.get(), F_GETFD), 0);
  const std::string spec = copy->InheritSpec();
  // As the child would: the numbers are all it has.
  (void)copy->memory.Release();
  for (Fd& doorbell : copy->doorbells) (void)doorbell.Release();
  auto inherited = SegmentFds::FromInheritSpec(spec);
  ASSERT_TRUE(inherited.ok()) << inherited.status().ToString();
  EXPECT_EQ(fcntl(inherited->memory.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_TRUE(Segment::Attach(std::move(*inherited)).ok());
}

TEST(SegmentFds, NonsenseSpecsCloseNothing) {
  for (const char* spec :
       {"", "x", "0,", ",0", "0,0", "-1", "0,1,x", "999999", "0;1", "99999999999999999999"}) {
    EXPECT_FALSE(SegmentFds::FromInheritSpec(spec).ok()) << spec;
  }
  EXPECT_GE(fcntl(0, F_GETFD), 0);
  EXPECT_GE(fcntl(1, F_GETFD), 0);
}

}  // namespace
}  // namespace atl
