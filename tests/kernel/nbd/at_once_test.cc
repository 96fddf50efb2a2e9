// SPDX-License-Identifier: Apache-2.0
//
// Requests that are served as they come (Device::TryRead and its like), over real sockets.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <optional>

#include "tests/kernel/nbd/raw_client.h"
#include "tests/kernel/nbd/server_thread.h"

namespace atl::nbd {
namespace {

constexpr uint64_t kSize = 64 * kMiB;
constexpr size_t kMany = 40;  // Reads of 256 KiB: more than a socket takes at once.
constexpr size_t kLarge = 256 * kKiB;

Bytes Filled(size_t count, unsigned value) { return Bytes(count, static_cast<std::byte>(value)); }

// A reply to a read, or to anything else: without data.
struct Answer {
  uint32_t error = 0;
  Bytes data;
};

std::optional<Answer> HearAnswer(RawClient* client, uint64_t* cookie) {
  const Bytes magic = client->Hear(4);
  if (magic.size() != 4) return std::nullopt;
  Answer answer;
  if (magic == Bytes(Script().U32(0x67446698))) {
    const Bytes rest = client->Hear(12);
    if (rest.size() != 12) return std::nullopt;
    answer.error = static_cast<uint32_t>(rest[3]);
    *cookie = static_cast<uint64_t>(rest[11]);
    return answer;
  }
  const Bytes rest = client->Hear(16);
  if (rest.size() != 16) return std::nullopt;
  *cookie = static_cast<uint64_t>(rest[11]);
  size_t length = 0;
  for (int i = 12; i < 16; ++i) length = length << 8 | static_cast<size_t>(rest[i]);
  answer.data = client->Hear(length);
  if (answer.data.size() != length) return std::nullopt;
  const auto type = static_cast<unsigned>(rest[3]);
  const bool error = (static_cast<unsigned>(rest[2]) & 0x80) != 0;
  if (error) answer.error = static_cast<uint32_t>(answer.data[3]);
  if (type == 1 && !error) answer.data.erase(answer.data.begin(), answer.data.begin() + 8);
  return answer;
}

std::map<uint64_t, Answer> HearAll(RawClient* client, size_t count) {
  std::map<uint64_t, Answer> answers;
  for (uint64_t cookie = 0; answers.size() < count;) {
    auto answer = HearAnswer(client, &cookie);
    if (!answer) break;
    answers[cookie] = *std::move(answer);
  }
  return answers;
}

class AtOnce : public testing::Test {
 protected:
  AtOnce() {
    server.Run([](ServerWorld world) {
      const auto volume = world.atoll->Add("v", kSize);
      for (uint64_t at = 0; at < kSize; at += kMiB) volume->Write(at, Filled(kMiB, 'a'));
      world.atoll->behaviour.at_once = true;
      return 0;
    });
    EXPECT_TRUE(client.Open("v"));
  }
  // What TryView gives from now on.
  void SetView(std::function<ConstSpan(MemoryVolume*, uint64_t, size_t)> view) {
    server.Run([&view](ServerWorld world) {
      world.atoll->behaviour.view = view;
      return 0;
    });
  }
  void FailReads(Status status) {
    server.Run([status](ServerWorld world) {
      world.atoll->behaviour.at_once = false;
      world.atoll->behaviour.fail = [status](std::string_view what) {
        return what == "read" ? status : OkStatus();
      };
      return 0;
    });
  }

  ServerThread server;
  RawClient client{server.socket()};
};

// The first `good` bytes can be read, the rest raises SIGBUS for whoever touches it.
class Trap {
 public:
  explicit Trap(size_t good) : file_(memfd_create("trap", MFD_CLOEXEC)) {
    const Bytes bytes(good, std::byte{'a'});
    CHECK(pwrite(file_.get(), bytes.data(), good, 0) == static_cast<ssize_t>(good));
    memory_ = mmap(nullptr, kMiB, PROT_READ, MAP_SHARED, file_.get(), 0);
    CHECK(memory_ != MAP_FAILED);
  }
  ~Trap() { munmap(memory_, kMiB); }
  ConstSpan bytes(size_t count) const { return {static_cast<const std::byte*>(memory_), count}; }

 private:
  Fd file_;
  void* memory_;
};

TEST_F(AtOnce, RequestsOfOneMessageTakeEffectInTheirOrder) {
  SetView([](MemoryVolume* volume, uint64_t at, size_t n) { return volume->View(at, n); });
  Script script;
  script.Request({.cookie = 1, .offset = 100, .length = 200});
  script.Request({.type = 1, .cookie = 2, .offset = 150, .length = 50}).Fill(50, 'b');
  script.Request({.cookie = 3, .offset = 100, .length = 200});
  ASSERT_TRUE(client.Say(script));
  auto answers = HearAll(&client, 3);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[1].data, Filled(200, 'a'));
  EXPECT_EQ(answers[2].error, 0u);
  Bytes after = Filled(200, 'a');
  std::fill_n(after.begin() + 50, 50, std::byte{'b'});
  EXPECT_EQ(answers[3].data, after);
}

// Their replies lie in the volume's own memory while the socket takes no more.
TEST_F(AtOnce, ReadsThatWaitForTheSocketKeepTheirBytes) {
  SetView([](MemoryVolume* volume, uint64_t at, size_t n) { return volume->View(at, n); });
  Script script;
  for (size_t i = 0; i < kMany; ++i) {
    script.Request({.cookie = i, .offset = i * kMiB, .length = kLarge});
  }
  for (size_t i = 0; i < kMany; ++i) {
    script.Request({.type = 1, .cookie = kMany + i, .offset = i * kMiB, .length = 4'096});
    script.Fill(4'096, 'b');
  }
  ASSERT_TRUE(client.Say(script));
  const auto is_written = [](ServerWorld world) {
    Bytes byte(1);
    world.atoll->Find("v")->Read((kMany - 1) * kMiB, byte);
    return byte[0] == std::byte{'b'};
  };
  ASSERT_TRUE(server.Eventually(is_written)) << "writes do not wait for the client to read";
  auto answers = HearAll(&client, 2 * kMany);
  ASSERT_EQ(answers.size(), 2 * kMany);
  for (size_t i = 0; i < kMany; ++i) {
    EXPECT_EQ(answers[i].data, Filled(kLarge, 'a')) << i;
    EXPECT_EQ(answers[kMany + i].error, 0u);
  }
}

TEST_F(AtOnce, AViewThatCannotBeReadIsReadInTheOtherWay) {
  const Trap trap(0);
  SetView([&trap](MemoryVolume*, uint64_t, size_t n) { return trap.bytes(n); });
  Script script;
  for (size_t i = 0; i < 8; ++i) script.Request({.cookie = i, .offset = i * 512, .length = 512});
  ASSERT_TRUE(client.Say(script));
  auto answers = HearAll(&client, 8);
  ASSERT_EQ(answers.size(), 8u);
  for (const auto& [cookie, answer] : answers) EXPECT_EQ(answer.data, Filled(512, 'a'));
}

TEST_F(AtOnce, AViewThatCannotBeReadAtAllIsAnErrorOfItsRequestOnly) {
  const Trap trap(0);
  SetView([&trap](MemoryVolume* volume, uint64_t at, size_t n) {
    return at == 512 ? trap.bytes(n) : volume->View(at, n);
  });
  FailReads(Status(Code::kIo, "the disk is broken"));
  Script script;
  script.Request({.cookie = 1, .offset = 512, .length = 512});
  ASSERT_TRUE(client.Say(script));
  uint64_t cookie = 0;
  auto answer = HearAnswer(&client, &cookie);
  ASSERT_TRUE(answer);
  EXPECT_EQ(cookie, 1u);
  EXPECT_EQ(answer->error, 5u);
  ASSERT_TRUE(client.Say(Script().Request({.cookie = 2, .offset = 0, .length = 512})));
  answer = HearAnswer(&client, &cookie);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->data, Filled(512, 'a'));
}

// A part of the reply says that all is well, so nothing else can be said.
TEST_F(AtOnce, WhoseReplyIsUnderWayAndCannotBeReadIsCutOff) {
  const Trap trap(512 * kKiB);
  SetView([&trap](MemoryVolume*, uint64_t, size_t n) { return trap.bytes(n); });
  FailReads(Status(Code::kIo, "the disk is broken"));
  ASSERT_TRUE(client.Say(Script().Request({.flags = 4, .cookie = 1, .offset = 0, .length = kMiB})));
  EXPECT_TRUE(client.IsClosed());
  EXPECT_TRUE(server.Eventually([](ServerWorld world) {
    return world.server->connections() == 0 && world.atoll->Find("v")->open_devices == 0;
  }));
}

TEST_F(AtOnce, WhoseReplyIsUnderWayHasTheRestReadInTheOtherWay) {
  const Trap trap(512 * kKiB);
  SetView([&trap](MemoryVolume*, uint64_t, size_t n) { return trap.bytes(n); });
  ASSERT_TRUE(client.Say(Script().Request({.flags = 4, .cookie = 1, .offset = 0, .length = kMiB})));
  uint64_t cookie = 0;
  const auto answer = HearAnswer(&client, &cookie);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->data, Filled(kMiB, 'a'));
}

TEST_F(AtOnce, AreCountedLikeAllOthers) {
  Script script;
  script.Request({.cookie = 1, .offset = 0, .length = 4'096});
  script.Request({.type = 1, .cookie = 2, .offset = 0, .length = 512}).Fill(512, 'b');
  ASSERT_TRUE(client.Say(script));
  ASSERT_EQ(HearAll(&client, 2).size(), 2u);
  const PortStats row = server.Run([](ServerWorld world) { return world.server->Stats().at(0); });
  EXPECT_EQ(row.reads, 1u);
  EXPECT_EQ(row.writes, 1u);
  EXPECT_EQ(row.read_bytes, 4'096u);
  EXPECT_EQ(row.write_bytes, 512u);
  EXPECT_EQ(row.in_flight, 0u);
}

}  // namespace
}  // namespace atl::nbd
