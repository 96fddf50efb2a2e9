// SPDX-License-Identifier: Apache-2.0
//
// Volumes of a real node over NBD, with the clients people use, in both placements.
#include <gtest/gtest.h>
#include <libnbd.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/atoll/cli_world.h"

namespace atl {
namespace {

// A connection that sends what it is told to, also beyond the end that it knows.
class Connection {
 public:
  explicit Connection(const std::string& uri) : handle_(nbd_create()) {
    nbd_set_strict_mode(handle_, 0);
    EXPECT_EQ(nbd_connect_uri(handle_, uri.c_str()), 0) << nbd_get_error();
  }
  ~Connection() { nbd_close(handle_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int64_t size() { return nbd_get_size(handle_); }
  // 0, or what the server answered.
  int Read(uint64_t offset) {
    char sector[512];
    return nbd_pread(handle_, sector, sizeof(sector), offset, 0) == 0 ? 0 : nbd_get_errno();
  }
  int Write(uint64_t offset) {
    const char sector[512] = {1};
    return nbd_pwrite(handle_, sector, sizeof(sector), offset, 0) == 0 ? 0 : nbd_get_errno();
  }

 private:
  nbd_handle* handle_;
};

class NbdVolumeTest : public ::testing::TestWithParam<const char*> {
 protected:
  void Start(const std::string& more = "") {
    setenv("ATOLLD", ATOLL_REAL_DAEMON, 1);
    std::ofstream(world_.config()) << "[node]\nstate = state\nplacement = " << GetParam() << "\n"
                                   << more << "[store default]\ndriver = file\n";
    const CliResult started = world_.Run({"node", "start"});
    ASSERT_EQ(started.exit_code, 0) << started.err;
  }
  std::string Make(const std::string& name, const std::string& size) {
    EXPECT_EQ(world_.Run({"volume", "create", name, "--size", size}).exit_code, 0);
    return world_.RunJson({"volume", "show", name}).json()["nbd_uri"];
  }
  static int Run(const std::string& command) { return std::system(command.c_str()); }
  bool Has(const std::string& program) {
    return Run("command -v " + program + " > /dev/null") == 0;
  }
  void QemuIo(const std::string& uri, const std::string& command) {
    const std::string log = world_.File("qemu-io.log");
    EXPECT_EQ(
        Run("timeout 60 qemu-io -f raw -c '" + command + "' '" + uri + "' > " + log + " 2>&1"), 0)
        << ReadWhole(log);
  }
  // base:allocation in full: "LENGTH TYPE, ..." in KiB.
  std::string Map(const std::string& uri) {
    const std::string file = world_.File("map.json");
    EXPECT_EQ(Run("timeout 60 nbdinfo --json --map '" + uri + "' > " + file), 0);
    std::string text;
    for (const auto& piece : nlohmann::json::parse(ReadWhole(file))) {
      text += std::to_string(piece["length"].get<uint64_t>() >> 10) + " " +
              std::to_string(piece["type"].get<int>()) + ", ";
    }
    return text;
  }
  CliResult Resize(const std::string& size) {
    return world_.Run({"volume", "resize", "v", "--size", size, "--force"});
  }

  CliWorld world_;
};
INSTANTIATE_TEST_SUITE_P(Placements, NbdVolumeTest, ::testing::Values("fused", "isolated"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(NbdVolumeTest, ASizeThatChangesIsThatOfNewConnectionsAndOfThoseThatAreThere) {
  Start();
  const std::string uri = Make("v", "8M");
  {
    Connection idle(uri), busy(uri);
    EXPECT_EQ(busy.Write(0), 0);
    EXPECT_EQ(busy.Read(12 << 20), EINVAL);
    ASSERT_EQ(Resize("16M").exit_code, 0);
    Connection fresh(uri);
    EXPECT_EQ(fresh.size(), 16 << 20);
    for (Connection* one : {&fresh, &busy, &idle}) {
      EXPECT_EQ(one->Read(12 << 20), 0);
      EXPECT_EQ(one->Write(12 << 20), 0);
      EXPECT_EQ(one->Read(16 << 20), EINVAL);
      EXPECT_EQ(one->Write(16 << 20), ENOSPC);
    }
  }
  Connection idle(uri), other(uri);
  // The node may not have noticed yet that the others have gone.
  while (Resize("4M").exit_code != 0) usleep(1000);
  EXPECT_EQ(idle.Read(12 << 20), EINVAL);
  EXPECT_EQ(other.Write(12 << 20), ENOSPC);
  EXPECT_EQ(idle.Read((4 << 20) - 512), 0);
  EXPECT_EQ(Connection(uri).size(), 4 << 20);
}

#define NEEDS(program) \
  if (!Has(program)) GTEST_SKIP() << program << " is not installed"

TEST_P(NbdVolumeTest, ZerosThatAreKeptAllocatedAreShownAsThat) {
  NEEDS("qemu-io");
  NEEDS("nbdinfo");
  Start();
  const std::string uri = Make("v", "8M");
  const CliResult shown = world_.Run({"store", "show", "default"});
  if (shown.out.find("tells-allocation") == std::string::npos) {
    GTEST_SKIP() << "the file system of this folder does not tell";
  }
  QemuIo(uri, "write -P 1 0 1M");
  QemuIo(uri, "write -z 1M 2M");       // NO_HOLE
  QemuIo(uri, "write -z -u 2M 512k");  // A hole is allowed.
  QemuIo(uri, "discard 4M 1M");
  EXPECT_EQ(Map(uri), "1024 0, 1024 2, 512 3, 512 2, 5120 3, ");
  QemuIo(uri, "read -P 0 1M 2M");
}

TEST_P(NbdVolumeTest, ZerosThatAreWrittenAreHolesWhereTheNodeLooksForThem) {
  NEEDS("qemu-io");
  NEEDS("nbdinfo");
  Start("nbd_detect_zeroes = yes\n");
  const std::string uri = Make("v", "8M");
  QemuIo(uri, "write -P 1 0 4M");
  QemuIo(uri, "write -P 0 1M 1M");
  QemuIo(uri, "write -f -P 0 3M 3M");
  EXPECT_EQ(Map(uri), "1024 0, 1024 3, 1024 0, 5120 3, ");
  QemuIo(uri, "read -P 0 1M 1M");
  QemuIo(uri, "read -P 1 2M 1M");
}

TEST_P(NbdVolumeTest, ZerosThatAreWrittenAreDataWhereNobodyAskedForMore) {
  NEEDS("qemu-io");
  NEEDS("nbdinfo");
  Start();
  const std::string uri = Make("v", "8M");
  QemuIo(uri, "write -P 0 1M 1M");
  EXPECT_EQ(Map(uri), "1024 3, 1024 0, 6144 3, ");
}

}  // namespace
}  // namespace atl
