// SPDX-License-Identifier: Apache-2.0
//
// The clients that people use, against the server over memory. One that is not installed is named
// and its test counted as skipped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libnbd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/kernel/nbd/server_thread.h"

namespace atl::nbd {
namespace {

struct Ran {
  int code = -1;
  std::string output;
};

Ran RunCommand(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  CHECK(pipe != nullptr);
  Ran ran;
  char buffer[4096];
  while (const size_t got = fread(buffer, 1, sizeof(buffer), pipe)) ran.output.append(buffer, got);
  const int status = pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return ran;
}
Ran MustRun(const std::string& command) {
  Ran ran = RunCommand(command);
  EXPECT_EQ(ran.code, 0) << command << "\n" << ran.output;
  return ran;
}

#define NEEDS(program)                               \
  if (RunCommand("command -v " program).code != 0) { \
    GTEST_SKIP() << program " is not installed";     \
  }

class Clients : public ::testing::Test {
 protected:
  static constexpr uint64_t kSize = 32 * kMiB;

  void SetUp() override {
    server.Run([](ServerWorld world) {
      world.atoll->Add("disk", kSize);
      world.atoll->Add("copy", kSize);
      world.atoll->Add("tiny", 1536);
      auto snap = world.atoll->Add("snap", kSize, ResourceKind::kSnapshot);
      snap->Write(kMiB, Bytes(kMiB, std::byte{'s'}));
      return 0;
    });
  }
  // A sparse file: random data in some places, holes elsewhere.
  std::string MakeImage(uint64_t seed) {
    const std::string path = server.directory() + "/image" + std::to_string(seed);
    std::ofstream file(path, std::ios::binary);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 40; ++i) {
      std::string data(512 * (1 + random() % 300), 0);
      for (char& c : data) c = static_cast<char>(random());
      file.seekp(static_cast<long>(random() % (kSize - data.size()) / 512 * 512));
      file << data;
    }
    file.close();
    std::filesystem::resize_file(path, kSize);
    return path;
  }
  nlohmann::json Json(const std::string& command) {
    return nlohmann::json::parse(MustRun(command).output, nullptr, false);
  }
  std::string Uri(const std::string& name) { return "'" + server.uri(name) + "'"; }

  ServerThread server;
};

TEST_F(Clients, NbdinfoSeesWhatIsThere) {
  NEEDS("nbdinfo");
  const auto info = Json("nbdinfo --json " + Uri("disk"));
  ASSERT_TRUE(info.is_object());
  EXPECT_EQ(info["protocol"], "newstyle-fixed");
  EXPECT_EQ(info["structured"], true);
  const auto& disk = info["exports"][0];
  EXPECT_EQ(disk["export-size"], kSize);
  EXPECT_EQ(disk["export-name"], "disk");
  EXPECT_EQ(disk["description"], "volume");
  EXPECT_EQ(disk["contexts"], nlohmann::json::array({"base:allocation"}));
  for (const char* can : {"can_cache", "can_df", "can_fast_zero", "can_flush", "can_fua",
                          "can_multi_conn", "can_trim", "can_zero"}) {
    EXPECT_EQ(disk[can], true) << can;
  }
  EXPECT_EQ(disk["is_read_only"], false);
  EXPECT_EQ(disk["block_size_minimum"], 1);
  EXPECT_EQ(disk["block_size_preferred"], 4096);
  EXPECT_EQ(disk["block_size_maximum"], 33554432);
  EXPECT_EQ(Json("nbdinfo --json " + Uri("snap"))["exports"][0]["is_read_only"], true);
}

TEST_F(Clients, NbdinfoListsAllExports) {
  NEEDS("nbdinfo");
  const auto list = Json("nbdinfo --list --json " + Uri(""));
  ASSERT_TRUE(list.is_object());
  ASSERT_EQ(list["exports"].size(), 4u);
  EXPECT_EQ(list["exports"][0]["export-name"], "copy");
}

TEST_F(Clients, NbdinfoMapShowsHolesAndData) {
  NEEDS("nbdinfo");
  const auto map = Json("nbdinfo --json --map " + Uri("snap"));
  ASSERT_EQ(map.size(), 3u);
  EXPECT_EQ(map[0]["length"], kMiB);
  EXPECT_EQ(map[0]["type"], 3);
  EXPECT_EQ(map[1]["length"], kMiB);
  EXPECT_EQ(map[1]["type"], 0);
  EXPECT_EQ(map[2]["length"], kSize - 2 * kMiB);
  EXPECT_EQ(map[2]["type"], 3);
}

TEST_F(Clients, NbdinfoSaysWhatIsWrong) {
  NEEDS("nbdinfo");
  const Ran ran = RunCommand("nbdinfo " + Uri("nothing"));
  EXPECT_NE(ran.code, 0);
  EXPECT_THAT(ran.output, ::testing::HasSubstr("No such file or directory for export: nothing"));
}

TEST_F(Clients, NbdcopyCopiesThereAndBackOverFourConnections) {
  NEEDS("nbdcopy");
  const std::string image = MakeImage(1), back = server.directory() + "/back";
  MustRun("nbdcopy -C 4 --flush " + image + " " + Uri("disk"));
  MustRun("nbdcopy -C 4 " + Uri("disk") + " " + Uri("copy"));
  MustRun("nbdcopy -C 4 " + Uri("copy") + " " + back);
  MustRun("cmp " + image + " " + back);
  EXPECT_GT(server.Run([](ServerWorld world) { return world.atoll->Find("disk")->flushes; }), 0u);
  // Holes stay holes.
  const auto state = server.Run([](ServerWorld world) {
    return world.atoll->Find("copy")->StateAt(kSize - 4096) == MemoryVolume::State::kHole;
  });
  EXPECT_TRUE(state);
}

TEST_F(Clients, QemuImgConvertsComparesAndMaps) {
  NEEDS("qemu-img");
  const std::string image = MakeImage(2), back = server.directory() + "/back.qcow2";
  MustRun("qemu-img convert -n -f raw -O raw " + image + " " + Uri("disk"));
  MustRun("qemu-img compare -f raw -F raw " + image + " " + Uri("disk"));
  MustRun("qemu-img convert -f raw -O qcow2 " + Uri("disk") + " " + back);
  MustRun("qemu-img compare -f raw -F qcow2 " + image + " " + back);
  const auto map = Json("qemu-img map --output=json -f raw " + Uri("disk"));
  uint64_t at = 0, data = 0;
  for (const auto& part : map) {
    EXPECT_EQ(part["start"], at);
    at += part["length"].get<uint64_t>();
    if (part["data"]) data += part["length"].get<uint64_t>();
    EXPECT_EQ(part["data"], !part["zero"].get<bool>());
  }
  EXPECT_EQ(at, kSize);
  EXPECT_GT(data, 0u);
  EXPECT_LT(data, kSize / 2);
  EXPECT_NE(RunCommand("qemu-img convert -n -f raw -O raw " + image + " " + Uri("snap")).code, 0);
}

TEST_F(Clients, QemuIoReadsWritesZeroesAndDiscards) {
  NEEDS("qemu-io");
  const auto io = [&](const std::string& name, const std::string& commands) {
    return RunCommand("qemu-io -f raw " + commands + " " + Uri(name));
  };
  const auto check = [&](const std::string& commands) {
    const Ran ran = io("disk", commands);
    EXPECT_EQ(ran.code, 0) << ran.output;
    EXPECT_EQ(ran.output.find("fail"), std::string::npos) << ran.output;
  };
  check("-c 'write -P 0x11 0 1M' -c 'write -f -P 0x22 1000 3000' -c flush");
  check("-c 'read -P 0x11 0 1000' -c 'read -P 0x22 1000 3000' -c 'read -P 0x11 4000 1k'");
  check("-c 'write -z 4k 8k' -c 'write -zu 64k 64k' -c 'read -P 0 4k 8k' -c 'read -P 0 64k 64k'");
  check("-c 'discard 128k 64k' -c 'read -P 0 128k 64k' -c 'read -P 0x11 192k 4k'");
  check(
      "-c 'aio_write -P 0x33 1M 2M' -c 'aio_write -P 0x44 5M 1M' -c aio_flush "
      "-c 'read -P 0x33 1M 2M' -c 'read -P 0x44 5M 1M'");
  EXPECT_NE(io("snap", "-c 'write 0 4k'").code, 0);
  EXPECT_EQ(io("snap", "-r -c 'read -P 0x73 1M 1M' -c 'read -P 0 0 1M'").code, 0);
}

TEST_F(Clients, FioVerifiesMixedSizesAndTrims) {
  NEEDS("fio");
  const std::string base = "cd " + server.directory() +
                           " && fio --ioengine=nbd --uri=" + Uri("disk") +
                           " --size=32M --iodepth=16 --randseed=11 --name=job ";
  const Ran mixed = MustRun(base +
                            "--rw=randwrite --bsrange=512-128k --blockalign=512 --bs_unaligned=0 "
                            "--verify=crc32c --verify_fatal=1 --do_verify=1 --fsync=64");
  EXPECT_THAT(mixed.output, ::testing::HasSubstr("err= 0"));
  MustRun(base +
          "--rw=randtrimwrite --bs=4k --trim_percentage=30 --trim_verify_zero=1 "
          "--verify=crc32c --verify_fatal=1 --do_verify=0");
  MustRun(base + "--rw=randrw --bssplit=512/30:4k/40:60k/30 --verify=md5 --verify_fatal=1");
}

// Starts a program and returns its pid.
pid_t Start(const std::string& command) {
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", ("exec " + command + " >/dev/null 2>&1").c_str(), nullptr);
    _exit(127);
  }
  return pid;
}

TEST_F(Clients, OneThatIsKilledInTheMiddleDisturbsNobody) {
  NEEDS("fio");
  server.Run([](ServerWorld world) {
    world.atoll->Add("good", kMiB);
    world.atoll->behaviour.delay_ns = [](std::string_view) { return 2 * kMillisecond; };
    return 0;
  });
  nbd_handle* good = nbd_create();
  ASSERT_EQ(nbd_connect_uri(good, server.uri("good").c_str()), 0);
  const auto others = [](ServerWorld world) { return world.server->connections() - 1; };
  const auto busy = [](ServerWorld world) {
    for (const auto& row : world.server->Stats()) {
      if (row.object == "disk" && row.in_flight > 0) return true;
    }
    return false;
  };
  for (int i = 0; i < 4; ++i) {
    const pid_t pid = Start("fio --ioengine=nbd --uri=" + Uri("disk") +
                            " --size=32M --iodepth=32 --rw=randrw --bs=128k --time_based"
                            " --runtime=60 --thread --name=job");
    ASSERT_TRUE(server.Eventually(busy));
    kill(pid, SIGKILL);
    for (int round = 0; round < 20; ++round) {
      char back[2] = {};
      ASSERT_EQ(nbd_pwrite(good, "ok", 2, static_cast<uint64_t>(round), 0), 0);
      ASSERT_EQ(nbd_pread(good, back, 2, static_cast<uint64_t>(round), 0), 0);
      ASSERT_EQ(std::string_view(back, 2), "ok");
    }
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_TRUE(server.Eventually([&](ServerWorld world) { return others(world) == 0; }));
    EXPECT_FALSE(server.Run(busy));
  }
  nbd_close(good);
}

// libnbd in this process, where one can look closer.
class Libnbd : public Clients {
 protected:
  void SetUp() override {
    Clients::SetUp();
    nbd = nbd_create();
    nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION);
    // Let wrong requests through to the server.
    nbd_set_strict_mode(nbd, 0);
  }
  void TearDown() override { nbd_close(nbd); }
  void Connect(const std::string& name) {
    ASSERT_EQ(nbd_connect_uri(nbd, server.uri(name).c_str()), 0) << nbd_get_error();
  }
  nbd_handle* nbd = nullptr;
};

TEST_F(Libnbd, GetsTheErrorsOfTheSpecification) {
  Connect("disk");
  char byte = 0;
  EXPECT_EQ(nbd_pread(nbd, &byte, 1, kSize, 0), -1);
  EXPECT_EQ(nbd_get_errno(), EINVAL);
  EXPECT_EQ(nbd_pwrite(nbd, &byte, 1, kSize, 0), -1);
  EXPECT_EQ(nbd_get_errno(), ENOSPC);
  EXPECT_EQ(nbd_zero(nbd, 4096, kSize, 0), -1);
  EXPECT_EQ(nbd_get_errno(), ENOSPC);
  EXPECT_EQ(nbd_trim(nbd, 4096, kSize, 0), -1);
  EXPECT_EQ(nbd_get_errno(), EINVAL);
  EXPECT_EQ(nbd_zero(nbd, 100, 0, LIBNBD_CMD_FLAG_FAST_ZERO), -1);
  EXPECT_EQ(nbd_get_errno(), ENOTSUP);
  EXPECT_EQ(nbd_cache(nbd, 4096, 0, 0), 0);
  EXPECT_EQ(server.Run([](ServerWorld world) { return world.atoll->Find("disk")->prefetches; }),
            1u);
  EXPECT_EQ(nbd_pread(nbd, &byte, 1, kSize - 1, 0), 0) << "the connection is as good as before";
}

TEST_F(Libnbd, CannotWriteToASnapshot) {
  Connect("snap");
  EXPECT_EQ(nbd_is_read_only(nbd), 1);
  char byte = 0;
  EXPECT_EQ(nbd_pwrite(nbd, &byte, 1, 0, 0), -1);
  EXPECT_EQ(nbd_get_errno(), EPERM);
  EXPECT_EQ(nbd_trim(nbd, 4096, 0, 0), -1);
  EXPECT_EQ(nbd_get_errno(), EPERM);
  EXPECT_EQ(nbd_zero(nbd, 4096, 0, 0), -1);
  EXPECT_EQ(nbd_get_errno(), EPERM);
  EXPECT_EQ(nbd_flush(nbd, 0), 0);
}

TEST_F(Libnbd, Moves32MiBInOneRequest) {
  Connect("disk");
  std::string data(kMaxPayload, 0), back(kMaxPayload, 'x');
  std::mt19937_64 random(4);
  for (size_t i = 0; i < data.size(); i += 8) {
    const uint64_t value = random();
    std::memcpy(data.data() + i, &value, 8);
  }
  ASSERT_EQ(nbd_pwrite(nbd, data.data(), data.size(), 0, 0), 0) << nbd_get_error();
  ASSERT_EQ(nbd_pread(nbd, back.data(), back.size(), 0, 0), 0) << nbd_get_error();
  EXPECT_TRUE(data == back);
  std::fill(back.begin(), back.end(), 'x');
  ASSERT_EQ(nbd_pread(nbd, back.data(), back.size(), 0, LIBNBD_CMD_FLAG_DF), 0);
  EXPECT_TRUE(data == back);
}

struct Chunk {
  uint64_t offset;
  size_t length;
  unsigned status;
  friend bool operator==(const Chunk&, const Chunk&) = default;
};
int Collect(void* user, const void*, size_t count, uint64_t offset, unsigned status, int*) {
  static_cast<std::vector<Chunk>*>(user)->push_back({offset, count, status});
  return 0;
}

TEST_F(Libnbd, SeesHolesInReads) {
  Connect("snap");
  std::string back(3 * kMiB, 'x');
  std::vector<Chunk> chunks;
  const nbd_chunk_callback collect{.callback = Collect, .user_data = &chunks, .free = nullptr};
  ASSERT_EQ(nbd_pread_structured(nbd, back.data(), back.size(), 0, collect, 0), 0);
  EXPECT_EQ(chunks, (std::vector<Chunk>{{0, kMiB, LIBNBD_READ_HOLE},
                                        {kMiB, kMiB, LIBNBD_READ_DATA},
                                        {2 * kMiB, kMiB, LIBNBD_READ_HOLE}}));
  EXPECT_EQ(back, std::string(kMiB, 0) + std::string(kMiB, 's') + std::string(kMiB, 0));
}

TEST_F(Libnbd, WorksWithoutStructuredRepliesAndWithoutGo) {
  nbd_set_request_structured_replies(nbd, false);
  nbd_set_handshake_flags(nbd, 0);
  Connect("disk");
  EXPECT_STREQ(nbd_get_protocol(nbd), "newstyle");
  ASSERT_EQ(nbd_pwrite(nbd, "plain", 5, 77, 0), 0) << nbd_get_error();
  std::string back(100000, 'x');
  ASSERT_EQ(nbd_pread(nbd, back.data(), back.size(), 0, 0), 0) << nbd_get_error();
  EXPECT_EQ(back.substr(77, 5), "plain");
  EXPECT_EQ(nbd_pread(nbd, back.data(), 1, kSize, 0), -1);
}

TEST_F(Libnbd, AnyAlignmentReadsBack) {
  Connect("tiny");
  std::string model(1536, 0);
  std::mt19937_64 random(9);
  for (int i = 0; i < 3000; ++i) {
    const size_t offset = random() % 1536, length = 1 + random() % (1536 - offset);
    if (random() % 2 == 0) {
      const std::string data(length, static_cast<char>(random()));
      ASSERT_EQ(nbd_pwrite(nbd, data.data(), length, offset, 0), 0);
      model.replace(offset, length, data);
    } else {
      std::string back(length, 'x');
      ASSERT_EQ(nbd_pread(nbd, back.data(), length, offset, 0), 0);
      ASSERT_EQ(back, model.substr(offset, length));
    }
  }
}

}  // namespace
}  // namespace atl::nbd
