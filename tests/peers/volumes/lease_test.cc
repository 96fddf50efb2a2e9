// SPDX-License-Identifier: Apache-2.0
//
// Who is dead for certain: leases of other hosts, of other pid namespaces, of pids that are used
// again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

// A pid that nobody has: its process has ended and was waited for.
uint32_t DeadPid() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  CHECK(waitpid(child, nullptr, 0) == child);
  return static_cast<uint32_t>(child);
}

class Lease : public ::testing::Test {
 protected:
  Lease() { IdentifyProcess(&identity_); }

  // Of a process of this host that has ended.
  LeaseRecord DeadLease() {
    LeaseRecord lease;
    lease.incarnation = env_.NewUuid();
    lease.node = "other";
    lease.boot = identity_.boot;
    lease.pid = DeadPid();
    lease.pid_namespace = identity_.pid_namespace;
    lease.start_ticks = 1;
    lease.term_ns = kSecond;
    return lease;
  }

  TestEnv env_;
  NodeIdentity identity_;
};

TEST_F(Lease, AProcessIsKnownToBeDeadOnlyWhereItsPidMeansSomething) {
  ASSERT_NE(identity_.pid_namespace, 0u);
  const LeaseRecord dead = DeadLease();
  EXPECT_TRUE(IsKnownDead(dead, identity_));
  LeaseRecord lease = dead;
  lease.pid_namespace += 1;
  EXPECT_FALSE(IsKnownDead(lease, identity_)) << "in a container its pid is another";
  lease.pid_namespace = 0;
  EXPECT_FALSE(IsKnownDead(lease, identity_)) << "nobody knows where it ran";
  lease = dead;
  lease.boot = env_.NewUuid();
  EXPECT_FALSE(IsKnownDead(lease, identity_)) << "on another host";
  lease.ended = true;
  EXPECT_TRUE(IsKnownDead(lease, identity_)) << "it said so itself";
}

TEST_F(Lease, APidThatIsUsedAgainIsNotTheSameProcess) {
  LeaseRecord lease = DeadLease();
  lease.pid = identity_.process.pid;
  lease.start_ticks = identity_.process.start_ticks;
  EXPECT_FALSE(IsKnownDead(lease, identity_));
  lease.start_ticks -= 1;
  EXPECT_TRUE(IsKnownDead(lease, identity_));
}

TEST_F(Lease, SaysWhichProcessHoldsIt) {
  MemoryWorld world;
  MemoryNode node(&env_, &world);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data").ok());
  const auto lease = env_.Run(ReadLease(&node.store(), node.incarnation()));
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(lease->pid, identity_.process.pid);
  EXPECT_EQ(lease->start_ticks, identity_.process.start_ticks);
  EXPECT_EQ(lease->pid_namespace, identity_.pid_namespace);
  EXPECT_TRUE(node.Stop().ok());
}

TEST_F(Lease, OfAContainerIsNotCollectedAndItsReaderKeepsTheSnapshot) {
  MemoryWorld world;
  MemoryNode node(&env_, &world);
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  const auto snapshot = hands.Snap("v", "s");
  ASSERT_TRUE(snapshot.ok());
  const LeaseRecord dead = DeadLease();
  LeaseRecord hidden = DeadLease();
  hidden.pid_namespace += 1;
  LockRecord lock;
  lock.resource = snapshot->uuid;
  lock.mode = LockMode::kReaders;
  lock.readers = {hidden.incarnation, dead.incarnation};
  const auto put = [&](RecordKind kind, const Uuid& uuid, const Result<Bytes>& bytes) {
    const RecordKey key = RecordKey::Of(kind, uuid);
    return env_.Run(node.store().SwapRecord(key, 0, *bytes, env_.NewUuid())).ok();
  };
  for (const LeaseRecord& lease : {dead, hidden}) {
    ASSERT_TRUE(put(RecordKind::kLease, lease.incarnation, EncodeLeaseRecord(lease)));
  }
  ASSERT_TRUE(put(RecordKind::kLock, snapshot->uuid, EncodeLockRecord(lock)));
  ASSERT_TRUE(hands.Collect().ok());
  EXPECT_EQ(env_.Run(ReadLease(&node.store(), dead.incarnation)).code(), Code::kNotFound);
  EXPECT_TRUE(env_.Run(ReadLease(&node.store(), hidden.incarnation)).ok());
  EXPECT_EQ(hands.Remove("s").code(), Code::kBusy);
  ASSERT_TRUE(env_.Run(EndLease(&env_, &node.store(), hidden.incarnation)).ok());
  EXPECT_TRUE(hands.Remove("s").ok());
  EXPECT_TRUE(node.Stop().ok());
}

// An idle node wakes for its renewals and for nothing else.
TEST_F(Lease, IsRenewedEveryThirdOfItsTermAndStoppedAtOnce) {
  MemoryWorld world;
  MemoryNode node(&env_, &world, {.lease_term_ns = 15 * kSecond});
  Hands hands(&env_, &node.atoll());
  ASSERT_TRUE(hands.Create("v", kMiB).ok());
  ASSERT_TRUE(hands.Write("v", 0, "data").ok());
  env_.RunUntilIdleFor(20 * kSecond);
  const auto before = env_.Run(ReadLease(&node.store(), node.incarnation()));
  int steps = 0;
  const int64_t end_ns = env_.BootNs() + 60 * kSecond;
  while (env_.BootNs() < end_ns && env_.Step()) ++steps;
  const auto after = env_.Run(ReadLease(&node.store(), node.incarnation()));
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_GE(after->renewals, before->renewals + 11);
  EXPECT_LE(after->renewals, before->renewals + 13);
  EXPECT_LE(steps, 13 * 8);
  const int64_t stopped_ns = env_.BootNs();
  EXPECT_TRUE(node.Stop().ok());
  EXPECT_LT(env_.BootNs() - stopped_ns, 10 * kMillisecond);
  EXPECT_EQ(env_.Run(ReadLease(&node.store(), node.incarnation())).code(), Code::kNotFound);
}

}  // namespace
}  // namespace atl
