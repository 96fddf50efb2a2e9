// SPDX-License-Identifier: Apache-2.0
#include "tools/node/store_remains.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iterator>

namespace atl {
namespace {

NodeConfig Config() {
  NodeConfig config;
  config.stores = {{.name = "on disk", .driver = "file"}, {.name = "fast", .driver = "memory"}};
  return config;
}

ino_t InodeOf(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 ? info.st_ino : 0;
}

TEST(StoreRemains, OfAFileStoreAreItsWitnessesAndOfOneInMemoryWhereItIs) {
  auto all = MakeRemains(Config());
  ASSERT_TRUE(all.ok()) << all.status().ToString();
  EXPECT_TRUE(all->at("on disk").OpenWitnesses().ok());
  EXPECT_FALSE(all->at("on disk").MemoryPlace().ok());
  EXPECT_FALSE(all->at("fast").OpenWitnesses().ok());
  const auto place = all->at("fast").MemoryPlace();
  ASSERT_TRUE(place.ok());
  ASSERT_EQ(mkdir(place->c_str(), 0700), 0);
  EXPECT_EQ(access(place->c_str(), F_OK), 0);
}

TEST(StoreRemains, ReachAnotherProcess) {
  auto all = MakeRemains(Config());
  ASSERT_TRUE(all.ok()) << all.status().ToString();
  EXPECT_EQ(CountsOf(*all), "1 fast\n2 on disk\n");
  // As the process that inherits them would, under the same numbers.
  std::vector<ino_t> inodes;
  for (const int fd : DescriptorsOf(*all)) inodes.push_back(InodeOf(fd));
  const std::string spec = InheritSpecOf(*all);
  for (auto& [name, remains] : *all) {
    for (Fd& fd : remains.descriptors) (void)fd.Release();
  }
  const auto there = RemainsFromSpec(spec);
  ASSERT_TRUE(there.ok()) << there.status().ToString();
  EXPECT_EQ(CountsOf(*there), CountsOf(*all));
  std::vector<ino_t> found;
  for (const int fd : DescriptorsOf(*there)) found.push_back(InodeOf(fd));
  EXPECT_EQ(found, inodes);
}

TEST(StoreRemains, NonsenseIsRefused) {
  for (const char* spec :
       {"", "x", "1", "-1,\n1 a\n", "99999,\n1 a\n", "99999,", ",\n", "\n1 a\n"}) {
    EXPECT_EQ(RemainsFromSpec(spec).code(), Code::kInvalid) << spec;
  }
  const auto fds = [](int count) {
    std::vector<Fd> out;
    for (int i = 0; i < count; ++i) out.emplace_back(memfd_create("test", MFD_CLOEXEC));
    return out;
  };
  for (const char* counts : {"2 a\n", "0 a\n", "a\n", "3 a\n", "1 a\n1 b\n", ""}) {
    EXPECT_EQ(RemainsFrom(counts, fds(1)).code(), Code::kInvalid) << counts;
  }
  EXPECT_TRUE(RemainsFrom("1 a b\n", fds(1)).ok());
  EXPECT_TRUE(RemainsFromSpec("\n").ok()) << "of a node without stores";
}

}  // namespace
}  // namespace atl
