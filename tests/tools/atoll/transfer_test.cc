// SPDX-License-Identifier: Apache-2.0
//
// Import and export of images through a real node process.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>

#include "tests/tools/atoll/cli_world.h"
#include "tools/atoll/sparse.h"

namespace atl {
namespace {

class Transfer : public testing::Test {
 protected:
  // A sparse image: data, holes and written zeros, of `size` bytes.
  void MakeImage(const std::string& path, uint64_t size) {
    const char* given = std::getenv("ATOLL_SEED");
    const uint64_t seed = given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::cout << "ATOLL_SEED=" << seed << "\n";
    std::mt19937_64 random(seed);
    const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    ASSERT_EQ(ftruncate(fd.get(), static_cast<off_t>(size)), 0);
    for (int i = 0; i < 40; ++i) {
      Bytes piece(1 + random() % 300'000, std::byte{0});
      const uint64_t at = random() % (size - piece.size());
      if (i % 4 != 0) {
        for (auto& byte : piece) byte = std::byte(random() & 0xff);
      }
      ASSERT_EQ(pwrite(fd.get(), piece.data(), piece.size(), static_cast<off_t>(at)),
                static_cast<ssize_t>(piece.size()));
    }
  }
  // A slow import of `size` bytes of data, which has begun and is far from its end.
  pid_t BeginImport(const std::string& name, size_t size) {
    const Fd fd(open(image_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    const Bytes data(size, std::byte{1});
    EXPECT_EQ(write(fd.get(), data.data(), size), static_cast<ssize_t>(size));
    const pid_t import =
        world_.Spawn({"--config", world_.config(), "volume", "import", image_, name},
                     world_.File("out"), world_.File("err"));
    while (world_.RunJson({"volume", "list"}).json().empty()) usleep(1000);
    return import;
  }
  static uint64_t Allocated(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return static_cast<uint64_t>(info.st_blocks) * 512;
  }
  std::vector<std::string> Leftovers() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(world_.folder())) {
      if (entry.path().string().find("partial") != std::string::npos) {
        names.push_back(entry.path().string());
      }
    }
    return names;
  }
  CliWorld world_;
  const std::string image_ = world_.File("slow");
  static constexpr size_t kSlow = size_t{64} << 20;
};

TEST_F(Transfer, RoundTripKeepsEveryByteAndEveryHole) {
  world_.Start();
  const std::string image = world_.File("image");
  const std::string back = world_.File("back");
  MakeImage(image, 64 << 20);
  ASSERT_EQ(world_.Run({"volume", "import", image, "v"}).exit_code, 0);
  const auto shown = world_.RunJson({"volume", "show", "v"}).json();
  EXPECT_LE(shown["space"]["true"], Allocated(image)) << "zeros were stored";
  ASSERT_EQ(world_.Run({"volume", "export", "v", back}).exit_code, 0);
  EXPECT_EQ(ReadWhole(image), ReadWhole(back));
  EXPECT_LE(Allocated(back), Allocated(image) + 65536) << "holes were filled";
  EXPECT_TRUE(Leftovers().empty());
}

TEST_F(Transfer, ATebibyteOfNothingTakesNoTime) {
  world_.Start();
  const std::string image = world_.File("image");
  const Fd fd(open(image.c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(ftruncate(fd.get(), 1ll << 40), 0);
  ASSERT_EQ(pwrite(fd.get(), "end", 3, (1ll << 40) - 3), 3);
  ASSERT_EQ(world_.Run({"volume", "import", image, "v"}).exit_code, 0);
  const std::string back = world_.File("back");
  ASSERT_EQ(world_.Run({"volume", "export", "v", back}).exit_code, 0);
  EXPECT_LE(Allocated(back), 1u << 20);
  const Fd exported(open(back.c_str(), O_RDONLY));
  char end[3];
  ASSERT_EQ(pread(exported.get(), end, 3, (1ll << 40) - 3), 3);
  EXPECT_EQ(std::string(end, 3), "end");
}

TEST_F(Transfer, AnOddSizeIsRoundedUpWithANote) {
  world_.Start();
  const std::string image = world_.File("image");
  FILE* file = fopen(image.c_str(), "w");
  fputs("hello", file);
  fclose(file);
  const CliResult import = world_.RunJson({"volume", "import", image, "v"});
  ASSERT_EQ(import.exit_code, 0);
  EXPECT_NE(import.err.find("note"), std::string::npos);
  EXPECT_EQ(import.json()["size"], 512);
  ASSERT_EQ(world_.Run({"volume", "export", "v", world_.File("back")}).exit_code, 0);
  EXPECT_EQ(ReadWhole(world_.File("back")), "hello" + std::string(507, '\0'));
}

TEST_F(Transfer, WhatCannotBeImportedLeavesNoVolume) {
  world_.Start({{"room_bytes", "3000000"}});
  const std::string image = world_.File("image");
  for (const std::string& path :
       {world_.File("nothing"), world_.folder(), std::string("/dev/null")}) {
    const CliResult result = world_.Run({"volume", "import", path, "v"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_TRUE(result.is_one_line_error()) << result.err;
    EXPECT_NE(result.err.find(path), std::string::npos) << result.err;
  }
  MakeImage(image, 64 << 20);
  const CliResult full = world_.Run({"volume", "import", image, "v"});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_TRUE(full.err.starts_with("atoll: volume v: ")) << full.err;
  EXPECT_NE(full.err.find("full"), std::string::npos) << full.err;
  EXPECT_EQ(world_.RunJson({"volume", "list"}).json().size(), 0u) << "half a volume was left";
}

TEST_F(Transfer, AnImportOverAVolumeThatIsThereLeavesItAlone) {
  world_.Start();
  const std::string image = world_.File("image");
  MakeImage(image, 8 << 20);
  ASSERT_EQ(world_.Run({"volume", "create", "v", "--size", "1M"}).exit_code, 0);
  EXPECT_EQ(world_.Run({"volume", "import", image, "v"}).exit_code, 1);
  EXPECT_EQ(world_.RunJson({"volume", "show", "v"}).json()["size"], 1 << 20);
}

TEST_F(Transfer, AnInterruptedImportLeavesNoVolume) {
  world_.Start({{"write_delay_ms", "50"}});
  const pid_t import = BeginImport("v", 4 * kSlow);
  ASSERT_EQ(kill(import, SIGINT), 0);
  EXPECT_EQ(WaitForExit(import), 1);
  EXPECT_NE(ReadWhole(world_.File("err")).find("interrupted"), std::string::npos);
  EXPECT_EQ(world_.RunJson({"volume", "list"}).json().size(), 0u);
}

TEST_F(Transfer, AKilledImportLeavesWhatCannotBeTakenForAWholeVolume) {
  world_.Start({{"write_delay_ms", "50"}});
  const pid_t import = BeginImport("v", kSlow);
  ASSERT_EQ(kill(import, SIGSTOP), 0);
  const CliResult second = world_.Run({"volume", "import", image_, "v"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_NE(second.err.find("v.importing is there"), std::string::npos) << second.err;
  ASSERT_EQ(kill(import, SIGKILL), 0);
  WaitForExit(import);
  EXPECT_EQ(world_.Run({"volume", "show", "v"}).exit_code, 1);
  EXPECT_EQ(world_.RunJson({"volume", "show", "v.importing"}).exit_code, 0);
  // It is closed a moment after its client has gone.
  while (world_.Run({"volume", "remove", "v.importing"}).exit_code != 0) usleep(50'000);
  ASSERT_EQ(world_.Run({"volume", "import", image_, "v"}).exit_code, 0);
  const auto list = world_.RunJson({"volume", "list"}).json();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["name"], "v");
}

TEST_F(Transfer, AnImportWhoseNameIsTakenMeanwhileLosesNothing) {
  world_.Start({{"write_delay_ms", "50"}});
  const std::string long_name(200, 'n');
  for (const std::string& name : {std::string("v"), long_name}) {
    const pid_t import = BeginImport(name, kSlow);
    ASSERT_EQ(kill(import, SIGSTOP), 0);  // So that it is not done before the name is taken.
    const std::string unfinished = world_.RunJson({"volume", "list"}).json()[0]["name"];
    EXPECT_TRUE(unfinished.ends_with(".importing")) << unfinished;
    ASSERT_EQ(world_.Run({"volume", "create", name, "--size", "1M"}).exit_code, 0);
    ASSERT_EQ(kill(import, SIGCONT), 0);
    EXPECT_EQ(WaitForExit(import), 1);
    const std::string err = ReadWhole(world_.File("err"));
    EXPECT_NE(err.find("what was imported is volume " + unfinished), std::string::npos) << err;
    ASSERT_EQ(
        world_.Run({"volume", "export", unfinished, world_.File(name.substr(0, 9))}).exit_code, 0);
    EXPECT_EQ(ReadWhole(world_.File(name.substr(0, 9))), ReadWhole(image_));
    ASSERT_EQ(world_.Run({"volume", "remove", name}).exit_code, 0);
    ASSERT_EQ(world_.Run({"volume", "remove", unfinished}).exit_code, 0);
  }
}

TEST_F(Transfer, AnExportReplacesNothingWithoutForce) {
  world_.Start();
  ASSERT_EQ(world_.Run({"volume", "create", "v", "--size", "1M"}).exit_code, 0);
  const std::string file = world_.File("file");
  FILE* out = fopen(file.c_str(), "w");
  fputs("mine", out);
  fclose(out);
  const CliResult refused = world_.Run({"volume", "export", "v", file});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("--force"), std::string::npos);
  EXPECT_EQ(ReadWhole(file), "mine");
  ASSERT_EQ(world_.Run({"volume", "export", "v", file, "--force"}).exit_code, 0);
  EXPECT_EQ(std::filesystem::file_size(file), 1u << 20);
  EXPECT_EQ(world_.Run({"volume", "export", "v", world_.folder()}).exit_code, 1);
  EXPECT_EQ(world_.Run({"volume", "export", "v", "/nowhere/file"}).exit_code, 1);
  EXPECT_EQ(world_.Run({"volume", "export", "w", world_.File("w")}).exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(world_.File("w")));
  EXPECT_TRUE(Leftovers().empty());
}

TEST(Sparse, LeavesOutZerosByWholeSubGrains) {
  Bytes data(16 * kSubGrain);
  EXPECT_TRUE(DataRuns(0, data).empty());
  data[5 * kSubGrain] = std::byte{1};
  EXPECT_EQ(DataRuns(0, data), (std::vector<ByteRange>{{5 * kSubGrain, kSubGrain}}));
  // A short run of zeros is cheaper written than left out.
  data[8 * kSubGrain] = std::byte{1};
  EXPECT_EQ(DataRuns(0, data), (std::vector<ByteRange>{{5 * kSubGrain, 4 * kSubGrain}}));
  data[15 * kSubGrain] = std::byte{1};
  EXPECT_EQ(DataRuns(0, data).size(), 2u);
  // Sub-grains are those of the volume, not those of the buffer.
  EXPECT_EQ(DataRuns(512, ConstSpan(data).first(6 * kSubGrain)),
            (std::vector<ByteRange>{{5 * kSubGrain - 512, kSubGrain}}));
}

}  // namespace
}  // namespace atl
