// SPDX-License-Identifier: Apache-2.0
#include "peers/format/records.h"

#include "peers/client/atoll.h"
#include "tests/peers/format/random_values.h"

namespace atl {
namespace {

static_assert(kMaxStoredName == kMaxNameBytes);

NameRecord RandomName(RandomValues* random) {
  return {.name_space = random->NewUuid(),
          .name = random->Text(1, kMaxStoredName),
          .uuid = random->NewUuid(),
          .store = random->NewUuid()};
}

LockRecord RandomLock(RandomValues* random) {
  LockRecord record{.resource = random->NewUuid(),
                    .mode = static_cast<LockMode>(random->In(0, 3)),
                    .generation = static_cast<uint32_t>(random->Word()),
                    .wanted = random->NewUuid()};
  if (record.mode == LockMode::kWriter || record.mode == LockMode::kRemoving) {
    record.holder = random->NewUuid();
  }
  if (record.mode == LockMode::kReaders) record.readers.resize(random->In(1, kMaxLockReaders));
  for (Uuid& reader : record.readers) reader = random->NewUuid();
  return record;
}

LeaseRecord RandomLease(RandomValues* random) {
  return {.incarnation = random->NewUuid(),
          .node = random->Text(0, 300),
          .control_address = "unix:" + random->Text(0, 100),
          .boot = random->NewUuid(),
          .pid = static_cast<uint32_t>(random->Word()),
          .pid_namespace = random->Word(),
          .start_ticks = random->Word(),
          .term_ns = static_cast<int64_t>(random->In(1, INT64_MAX)),
          .renewals = random->Word(),
          .ended = random->Chance(2)};
}

TEST(NameRecord, ReadsBackAsWritten) {
  RandomValues random;
  for (int i = 0; i < 1000; ++i) {
    const NameRecord record = RandomName(&random);
    const auto read =
        DecodeNameRecord(*EncodeNameRecord(record), NameKey(record.name_space, record.name));
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read->name_space, record.name_space);
    EXPECT_EQ(read->name, record.name);
    EXPECT_EQ(read->uuid, record.uuid);
    EXPECT_EQ(read->store, record.store);
  }
}

TEST(NameRecord, IsRefusedUnderAnotherNamesKey) {
  RandomValues random;
  const NameRecord record = RandomName(&random);
  const Bytes bytes = *EncodeNameRecord(record);
  EXPECT_EQ(DecodeNameRecord(bytes, NameKey(record.name_space, record.name + "x")).code(),
            Code::kCorrupt);
  EXPECT_EQ(DecodeNameRecord(bytes, NameKey(random.NewUuid(), record.name)).code(), Code::kCorrupt);
}

TEST(NameRecord, KeyIsTheStandardHashOfNamespaceAndName) {
  EXPECT_EQ(ToHex(NameKey(Uuid{}, "db1").name),
            "d99d8b3a25d260134223a3bb57cf254e0bd1888b8c30b7f54747a5dbf92c8484");
  EXPECT_EQ(NameKey(Uuid{}, "db1").kind, RecordKind::kName);
}

TEST(LockRecord, ReadsBackAsWritten) {
  RandomValues random;
  for (int i = 0; i < 1000; ++i) {
    const LockRecord record = RandomLock(&random);
    const auto read = DecodeLockRecord(*EncodeLockRecord(record), record.resource);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read->mode, record.mode);
    EXPECT_EQ(read->holder, record.holder);
    EXPECT_EQ(read->generation, record.generation);
    EXPECT_EQ(read->readers, record.readers);
    EXPECT_EQ(read->wanted, record.wanted);
  }
}

TEST(LockRecord, RefusesWhatContradictsItself) {
  RandomValues random;
  const Uuid a = random.NewUuid();
  const LockRecord bad[] = {
      {},
      {.resource = a, .holder = a},
      {.resource = a, .readers = {a}},
      {.resource = a, .mode = LockMode::kWriter},
      {.resource = a, .mode = LockMode::kReaders},
      {.resource = a, .mode = LockMode::kReaders, .readers = {a, a}},
      {.resource = a, .mode = LockMode::kReaders, .readers = {Uuid{}}},
      {.resource = a, .mode = static_cast<LockMode>(4)},
  };
  for (const LockRecord& record : bad) {
    EXPECT_EQ(EncodeLockRecord(record).code(), Code::kInvalid) << &record - bad;
  }
}

TEST(LockRecord, HasRoomForItsLimitOfReadersAndNoMore) {
  RandomValues random;
  LockRecord record{.resource = random.NewUuid(), .mode = LockMode::kReaders};
  for (size_t i = 0; i < kMaxLockReaders; ++i) record.readers.push_back(random.NewUuid());
  EXPECT_TRUE(DecodeLockRecord(*EncodeLockRecord(record), record.resource).ok());
  record.readers.push_back(random.NewUuid());
  EXPECT_EQ(EncodeLockRecord(record).code(), Code::kLimit);
}

TEST(LeaseRecord, ReadsBackAsWritten) {
  RandomValues random;
  for (int i = 0; i < 1000; ++i) {
    const LeaseRecord record = RandomLease(&random);
    const auto read = DecodeLeaseRecord(*EncodeLeaseRecord(record), record.incarnation);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read->node, record.node);
    EXPECT_EQ(read->control_address, record.control_address);
    EXPECT_EQ(read->boot, record.boot);
    EXPECT_EQ(read->pid, record.pid);
    EXPECT_EQ(read->pid_namespace, record.pid_namespace);
    EXPECT_EQ(read->start_ticks, record.start_ticks);
    EXPECT_EQ(read->term_ns, record.term_ns);
    EXPECT_EQ(read->renewals, record.renewals);
    EXPECT_EQ(read->ended, record.ended);
  }
}

TEST(LeaseRecord, RefusesATermThatNeverEnds) {
  EXPECT_EQ(EncodeLeaseRecord({.incarnation = {{1}}, .term_ns = 0}).code(), Code::kInvalid);
}

TEST(Records, FlippedBitsAndTruncationsAreCorrupt) {
  RandomValues random;
  NameRecord name = RandomName(&random);
  name.name.resize(1);
  const RecordKey key = NameKey(name.name_space, name.name);
  ExpectAllDamageRefused(*EncodeNameRecord(name), [&](const Bytes& bytes) {
    return DecodeNameRecord(bytes, key).code() == Code::kCorrupt;
  });
  const LockRecord lock = RandomLock(&random);
  ExpectAllDamageRefused(*EncodeLockRecord(lock), [&](const Bytes& bytes) {
    return DecodeLockRecord(bytes, lock.resource).code() == Code::kCorrupt;
  });
  const LeaseRecord lease = RandomLease(&random);
  ExpectAllDamageRefused(*EncodeLeaseRecord(lease), [&](const Bytes& bytes) {
    return DecodeLeaseRecord(bytes, lease.incarnation).code() == Code::kCorrupt;
  });
}

TEST(Records, OfAnotherThingAreCorruptAndNamed) {
  RandomValues random;
  const LockRecord lock = RandomLock(&random);
  const Uuid other = random.NewUuid();
  const auto read = DecodeLockRecord(*EncodeLockRecord(lock), other);
  EXPECT_EQ(read.code(), Code::kCorrupt);
  EXPECT_NE(read.status().message().find(other.ToString()), std::string_view::npos);
  const LeaseRecord lease = RandomLease(&random);
  EXPECT_EQ(DecodeLeaseRecord(*EncodeLeaseRecord(lease), other).code(), Code::kCorrupt);
  // One kind of record is never taken for another.
  EXPECT_EQ(DecodeLeaseRecord(*EncodeLockRecord(lock), lock.resource).code(), Code::kCorrupt);
}

}  // namespace
}  // namespace atl
