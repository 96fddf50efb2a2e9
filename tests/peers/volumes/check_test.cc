// SPDX-License-Identifier: Apache-2.0
//
// A check names exactly what is wrong and finds nothing in what is whole; its repairs lose nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peers/mapper/root_store.h"
#include "peers/store/superblock.h"
#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using ::testing::HasSubstr;

std::string TextOf(const CheckReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) {
    text += std::string(ToString(finding.severity)) + " " + finding.store + " " + finding.resource +
            ": " + finding.what + "\n";
  }
  return text;
}

class CheckTest : public ::testing::Test {
 protected:
  // A volume v of "new", with six snapshots of which s0 is "old", all folded but for the last, and
  // a clone c of s0.
  void SetUp() override {
    ASSERT_TRUE(hands_.Create("v", 2 * kMiB).ok());
    ASSERT_TRUE(hands_.Write("v", 0, "old", true).ok());
    for (int i = 0; i < 6; ++i) {
      ASSERT_TRUE(hands_.Snap("v", "s" + std::to_string(i)).ok());
      ASSERT_TRUE(hands_.Write("v", (i + 1) * 64 * kKiB, std::string(12 * kKiB, 'm'), true).ok());
    }
    ASSERT_TRUE(hands_.Write("v", 0, "new", true).ok());
    ASSERT_TRUE(hands_.Clone("c", "s0").ok());
    CloseAll();
  }
  void TearDown() override {
    node_.hooks().Clear();
    EXPECT_TRUE(node_.Stop().ok());
  }
  void CloseAll() {
    for (const std::string& name : hands_.Names()) {
      EXPECT_TRUE(env_.Run(node_.atoll().Release(Hands::Ref(name))).ok());
    }
  }

  CheckReport Check(bool repair = false) {
    const auto report = env_.Run(node_.atoll().Check({.repair = repair}));
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ok() ? *report : CheckReport{};
  }
  void ExpectClean() {
    const CheckReport report = Check();
    EXPECT_EQ(report.errors + report.notes, 0u) << TextOf(report);
    EXPECT_TRUE(report.garbage.known);
  }
  // Errors that name the resource or the thing, and nothing else is wrong.
  void ExpectError(const std::string& named, const std::string& what) {
    const CheckReport report = Check();
    EXPECT_GE(report.errors, 1u);
    EXPECT_THAT(TextOf(report), HasSubstr(named));
    EXPECT_THAT(TextOf(report), HasSubstr(what));
    EXPECT_FALSE(report.garbage.known) << "nothing is called garbage while something is damaged";
  }
  void ExpectContents() {
    EXPECT_EQ(hands_.Read("v", 0, 3), "new");
    EXPECT_EQ(hands_.Read("s0", 0, 3), "old");
    EXPECT_EQ(hands_.Read("c", 0, 3), "old");
  }

  Header HeaderOf(const std::string& name) {
    const auto info = env_.Run(node_.atoll().Show(Hands::Ref(name), false));
    EXPECT_TRUE(info.ok()) << info.status().ToString();
    return env_.Run(ReadHeader(&node_.store(), info->uuid, ReadFor::kAct))->header;
  }
  void Change(const std::string& name, const HeaderChange& change) {
    auto header = env_.Run(ReadHeader(&node_.store(), HeaderOf(name).uuid, ReadFor::kAct));
    ASSERT_TRUE(header.ok());
    const Status changed = env_.Run(ChangeHeader(&env_, &node_.store(), &*header, change));
    ASSERT_TRUE(changed.ok()) << changed.ToString();
  }
  // As a bit that has flipped where the store did not notice.
  void Flip(const RecordKey& key) {
    const auto record = env_.Run(node_.store().GetRecord(key, ReadFor::kAct));
    ASSERT_TRUE(record.ok()) << record.status().ToString();
    Bytes payload = record->payload;
    payload[payload.size() / 2] ^= std::byte{4};
    Put(key, record->version, payload);
  }
  void Put(const RecordKey& key, uint64_t version, const Bytes& payload) {
    const auto put = env_.Run(node_.store().SwapRecord(key, version, payload, hands_.New()));
    ASSERT_TRUE(put.ok()) << put.status().ToString();
  }
  void Lose(const RecordKey& key) {
    const auto record = env_.Run(node_.store().GetRecord(key, ReadFor::kAct));
    ASSERT_TRUE(record.ok());
    ASSERT_TRUE(env_.Run(node_.store().RemoveRecord(key, record->version, hands_.New())).ok());
  }

  TestEnv env_;
  MemoryWorld world_;
  MemoryNode node_{&env_, &world_};
  Hands hands_{&env_, &node_.atoll()};
};

TEST_F(CheckTest, FindsNothingInWhatIsWhole) {
  const CheckReport report = Check();
  EXPECT_EQ(TextOf(report), "");
  EXPECT_EQ(report.resources, 8u);
  EXPECT_GE(report.records, 8u + 8u + 1u);
  EXPECT_GE(report.nodes, 6u);
  EXPECT_GE(report.journals, 2u);
  EXPECT_GE(report.blobs, 7u);
  ExpectContents();
  ExpectClean();  // All of them open.
}

TEST_F(CheckTest, NamesEachRecordThatIsDamaged) {
  const Header v = HeaderOf("v");
  const RecordKey keys[] = {RecordKey::Of(RecordKind::kHeader, v.uuid), NameKey(Uuid(), "v"),
                            RecordKey::Of(RecordKind::kLock, v.uuid), SuperblockKey()};
  for (const RecordKey& key : keys) {
    const auto before = env_.Run(node_.store().GetRecord(key, ReadFor::kAct));
    if (key == SuperblockKey() && !before.ok()) continue;  // A medium in memory has none.
    SCOPED_TRACE(key.ToString());
    Flip(key);
    ExpectError(key.kind == RecordKind::kSuperblock ? "superblock" : key.ToString(), "corrupt");
    const auto now = env_.Run(node_.store().GetRecord(key, ReadFor::kAct));
    Put(key, now->version, before->payload);
    ExpectClean();
  }
}

TEST_F(CheckTest, NamesALeaseThatIsDamaged) {
  ExpectContents();
  Flip(RecordKey::Of(RecordKind::kLease, node_.incarnation()));
  ExpectError(node_.incarnation().ToString(), "lease");
}

TEST_F(CheckTest, NamesEachBlobAndLogThatIsGone) {
  const Header v = HeaderOf("v");
  const auto root = env_.Run(ReadRoot(&node_.stores(), v.map.root));
  ASSERT_TRUE(root.ok());
  ASSERT_GE(root->sources.size(), 4u);
  ASSERT_FALSE(v.map.replay.empty());
  for (const auto& [index, source] : root->sources) {
    const bool nodes = source.type == SourceType::kNodes;
    const std::string named = nodes ? source.nodes().ToString() : source.blob().ToString();
    SCOPED_TRACE(named);
    if (nodes) {
      ASSERT_TRUE(env_.Run(node_.store().RemoveLog(source.nodes())).ok());
    } else {
      ASSERT_TRUE(env_.Run(node_.store().Remove(source.blob())).ok());
    }
    ExpectError(named, "corrupt");
  }
  for (const ReplayJournal& journal : v.map.replay) {
    ASSERT_TRUE(env_.Run(node_.store().RemoveLog(journal.log())).ok());
    ExpectError("v: corrupt: default: " + journal.log().ToString(), "is not there");
  }
}

TEST_F(CheckTest, NamesTheCurrentJournalThatIsGone) {
  const Header v = HeaderOf("v");
  ASSERT_TRUE(env_.Run(node_.store().RemoveLog(v.journal())).ok());
  ExpectError(v.journal().ToString(), "is not in store");
}

TEST_F(CheckTest, NamesAHeaderThatIsMissing) {
  const Header v = HeaderOf("v");
  Lose(RecordKey::Of(RecordKind::kHeader, v.uuid));
  ExpectError("v: ", "header missing");
  Lose(NameKey(Uuid(), "v"));
  ExpectError(v.uuid.ToString(), "header missing");
}

TEST_F(CheckTest, PutsALostNameBack) {
  Lose(NameKey(Uuid(), "v"));
  EXPECT_THAT(hands_.Read("v", 0, 3), HasSubstr("there is no 'v'"));
  const CheckReport found = Check();
  ASSERT_EQ(found.errors, 1u) << TextOf(found);
  EXPECT_TRUE(found.findings[0].repairable);
  const CheckReport repaired = Check(true);
  EXPECT_EQ(repaired.errors, 0u) << TextOf(repaired);
  EXPECT_EQ(repaired.repaired, 1u);
  ExpectContents();
  ExpectClean();
}

TEST_F(CheckTest, ALostNameThatIsAnothersByNowIsNotPutBack) {
  const Header v = HeaderOf("v");
  Lose(NameKey(Uuid(), "v"));
  ASSERT_TRUE(hands_.Create("v", kMiB).ok());
  const CheckReport repaired = Check(true);
  EXPECT_EQ(repaired.repaired, 0u) << TextOf(repaired);
  EXPECT_EQ(repaired.errors, 1u);
  EXPECT_THAT(TextOf(repaired), HasSubstr("belongs to"));
  const auto info = env_.Run(node_.atoll().Show(ResourceRef::Of(v.uuid), false));
  EXPECT_TRUE(info.ok()) << "found by its uuid still";
}

TEST_F(CheckTest, CountsThatAreWrongAreFoundAndWrittenAnew) {
  const Header v = HeaderOf("v");
  auto root = env_.Run(ReadRoot(&node_.stores(), v.map.root));
  ASSERT_TRUE(root.ok());
  for (auto& [index, source] : root->sources) {
    if (source.type == SourceType::kBlob && source.count > 1) {
      source.count -= 1;
      break;
    }
  }
  const uint32_t sequence = v.node_sequence + 1;
  const LogId log = LogId::Nodes(v.uuid, sequence);
  const auto bytes = EncodeRoot(*root, NodePlace{log, 0});
  ASSERT_TRUE(bytes.ok());
  Store& store = node_.store();
  ASSERT_TRUE(env_.Run(store.AdoptLog(log, 0)).ok());
  ASSERT_TRUE(env_.Run(store.Append(log, 0, *bytes)).ok());
  env_.Run([](Store* store, LogId log) -> Task<int> {
    co_await store->DisownLog(log);
    co_return 0;
  }(&store, log));
  Change("v", [&](Header* header) -> Status {
    header->node_sequence = sequence;
    header->map.root = {v.uuid,
                        sequence,
                        store.info().uuid,
                        0,
                        static_cast<uint32_t>(bytes->size()),
                        RootChecksum(*bytes)};
    return {};
  });
  ExpectError("v: ", "sub-grains, and serves");
  const CheckReport repaired = Check(true);
  EXPECT_EQ(repaired.errors, 0u) << TextOf(repaired);
  EXPECT_EQ(repaired.repaired, 1u);
  ExpectClean();
  ExpectContents();
  ASSERT_TRUE(hands_.Write("v", 0, "newer", true).ok());
  EXPECT_EQ(hands_.Read("v", 0, 5), "newer");
}

TEST_F(CheckTest, OneResourceIsCheckedByItself) {
  const Header v = HeaderOf("v");
  ASSERT_TRUE(env_.Run(node_.store().RemoveLog(v.journal())).ok());
  const auto only = [&](const std::string& name) {
    return *env_.Run(node_.atoll().Check({.only = Hands::Ref(name)}));
  };
  EXPECT_EQ(only("v").errors, 1u);
  EXPECT_EQ(only("s0").errors, 0u);
  EXPECT_EQ(only("s0").resources, 1u);
  Flip(RecordKey::Of(RecordKind::kHeader, v.uuid));
  EXPECT_EQ(only("v").errors, 1u) << "that it cannot be read is what was found";
  const auto absent = env_.Run(node_.atoll().Check({.only = Hands::Ref("nobody")}));
  EXPECT_EQ(absent.code(), Code::kNotFound);
}

TEST_F(CheckTest, GarbageIsCountedAndIsNoError) {
  ASSERT_TRUE(hands_.Remove("c").ok());
  ASSERT_TRUE(hands_.Write("v", kMiB, "x", true).ok());
  ASSERT_TRUE(hands_.Remove("s5").ok());
  const CheckReport report = Check();
  EXPECT_EQ(report.errors, 0u) << TextOf(report);
  EXPECT_GE(report.garbage.records, 2u);
  const CheckReport repaired = Check(true);
  EXPECT_GE(repaired.garbage.records, 2u);
  EXPECT_EQ(hands_.Collect(true)->records, 0u) << "collected";
}

TEST_F(CheckTest, ANodeThatStopsEndsIt) {
  int calls = 0;
  node_.hooks().before = [&](const StoreCall& call) {
    if (++calls == 10) {
      Spawn([](LocalAtoll* atoll) -> Task<void> {
        const ScrubSpec abort{.action = ScrubAction::kAbort};
        (void)co_await atoll->Scrub(abort);
      }(&node_.atoll()));
    }
  };
  const auto report = env_.Run(node_.atoll().Check({}));
  EXPECT_EQ(report.code(), Code::kUnavailable);
  EXPECT_EQ(env_.Run(node_.atoll().Check({})).code(), Code::kUnavailable);
}

}  // namespace
}  // namespace atl
