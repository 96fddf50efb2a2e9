// SPDX-License-Identifier: Apache-2.0
//
// Random operations against a model in the test. Under failures an operation has happened or has
// not, wholly, and nothing else has changed.
#include <algorithm>
#include <map>

#include "medium.h"
#include "peers/store/filter/error_filter.h"

namespace atl {
namespace {

constexpr size_t kBlobBytes = 256 * kKiB;
constexpr int kSteps = 80;

class RandomContract : public StoreContract {
 protected:
  // What the store should hold.
  struct Model {
    std::map<BlobId, Bytes> blobs;
    std::map<LogId, Bytes> logs;
    std::map<RecordKey, Record> records;
  };

  uint64_t Below(uint64_t limit) { return random_() % limit; }
  template <typename Map>
  auto Pick(Map& map) {
    return std::next(map.begin(), static_cast<ptrdiff_t>(Below(map.size())));
  }
  ByteRange SomeRange() {
    const uint64_t offset = Below(kBlobBytes);
    return {offset, Below(std::min<uint64_t>(kBlobBytes - offset, 40'000) + 1)};
  }

  void Prepare(Store& store) {
    for (int i = 0; i < 3; ++i) {
      const BlobId blob = NewBlob();
      ASSERT_OK(Run(store.Adopt(blob, 0)));
      model_.blobs[blob] = Bytes(kBlobBytes);
      const LogId log = NewLog();
      ASSERT_OK(Run(store.AdoptLog(log, 0)));
      model_.logs[log] = {};
      keys_.push_back(NewKey());
    }
  }

  // The blob holds `after` if the change was told to be done, else one of the two.
  void ExpectBlob(const BlobId& id, const Status& told, Bytes after) {
    const Bytes now = ReadBack(*b, id, 0, kBlobBytes);
    Bytes& before = model_.blobs[id];
    if (told.ok()) {
      ASSERT_EQ(now, after);
    } else {
      ASSERT_TRUE(now == before || now == after) << told.ToString();
    }
    before = now;
  }

  void ChangeBlob(Store& store) {
    auto& [id, bytes] = *Pick(model_.blobs);
    const ByteRange range = SomeRange();
    Bytes after = bytes;
    const auto part = MutSpan(after).subspan(range.offset, range.length);
    Status told;
    switch (Below(4)) {
      case 0:
        std::ranges::fill(part, std::byte{0});
        told = Run(store.Punch(id, range));
        break;
      case 1:
        std::ranges::fill(part, std::byte{0});
        told = Run(store.Zero(id, range, {.keep_allocated = Below(2) == 0}));
        break;
      case 2: {
        const auto& [from, source] = *Pick(model_.blobs);
        std::copy_n(source.begin() + static_cast<ptrdiff_t>(range.offset), range.length,
                    part.begin());
        told = Run(store.Copy(from, id, range));
        break;
      }
      default: {
        const Bytes data = Pattern(range.length, random_());
        std::ranges::copy(data, part.begin());
        told = Run(store.Write(id, range.offset, data, {.data_sync = Below(8) == 0}));
      }
    }
    ExpectBlob(id, told, std::move(after));
    if (Below(8) == 0) (void)Run(store.Sync(id));
  }

  void ChangeLog(Store& store) {
    auto& [id, bytes] = *Pick(model_.logs);
    const Bytes data = Pattern(1 + Below(6'000), random_());
    // As its owner does after a failure: the same bytes at the same place, until it is told.
    for (int tries = 0; tries < 100; ++tries) {
      if (Run(store.Append(id, bytes.size(), data)).ok()) {
        bytes.insert(bytes.end(), data.begin(), data.end());
        break;
      }
    }
    Bytes out(bytes.size() + 10'000);
    const auto got = Run(b->ReadLog(id, 0, out));
    ASSERT_TRUE(got.ok());
    ASSERT_GE(*got, bytes.size());
    ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), out.begin()));
    if (Below(4) == 0) (void)Run(store.SyncLog(id));
    if (Below(4) == 0) (void)Run(store.Reserve(id, bytes.size() + 50'000));
    if (Below(4) == 0) (void)Run(store.TrimLog(id, bytes.size()));
  }

  void ChangeRecord(Store& store) {
    const RecordKey key = keys_[Below(keys_.size())];
    const auto at = model_.records.find(key);
    const uint64_t version = at == model_.records.end() ? 0 : at->second.version;
    const Uuid operation = medium->env().NewUuid();
    const Bytes payload = Pattern(Below(2'000), random_());
    const bool remove = version > 0 && Below(4) == 0;
    Status told;
    if (remove) {
      told = Run(store.RemoveRecord(key, version, operation));
    } else {
      const auto made = Run(store.SwapRecord(key, version, payload, operation));
      told = made.ok() ? OkStatus() : made.status();
    }
    const auto now = Run(b->GetRecord(key, ReadFor::kAct));
    if (!now.ok()) ASSERT_EQ(now.code(), Code::kNotFound) << now.status().ToString();
    const bool happened = remove ? !now.ok() : now.ok() && now->operation == operation;
    if (told.ok()) ASSERT_TRUE(happened);
    if (happened && remove) model_.records.erase(key);
    if (happened && !remove) {
      ASSERT_EQ(now->payload, payload);
      ASSERT_GT(now->version, version);
      model_.records[key] = *now;
    }
    if (!happened && version > 0) {
      ASSERT_TRUE(now.ok());
      ASSERT_EQ(now->version, version);
      ASSERT_EQ(now->payload, at->second.payload);
    }
    if (!happened && version == 0) ASSERT_FALSE(now.ok());
  }

  void Walk(Store& store) {
    for (int step = 0; step < kSteps && !HasFatalFailure(); ++step) {
      SCOPED_TRACE(step);
      const uint64_t choice = Below(10);
      if (choice < 5) ChangeBlob(store);
      if (choice >= 5 && choice < 7) ChangeLog(store);
      if (choice >= 7) ChangeRecord(store);
      if (Below(40) == 0) (void)Run(store.Sweep(false));
    }
  }

  std::mt19937_64 random_{TestSeed(4'711)};
  Model model_;
  std::vector<RecordKey> keys_;
};
CONTRACT_FOR_ALL(RandomContract);

TEST_P(RandomContract, BehavesLikeTheModel) {
  Prepare(*a);
  Walk(*a);
}

TEST_P(RandomContract, AFailedOperationHasHappenedOrNotAndNothingElseHasChanged) {
  auto failing = std::make_unique<ErrorFilter>(Open(), ErrorFilterOptions{});
  Prepare(*failing);
  failing->SetOptions({.per_million = 200'000, .when = FailWhen::kEither, .seed = random_()});
  Walk(*failing);
  EXPECT_GT(failing->failed(), 5u);
  Run(failing->Close());
}

}  // namespace
}  // namespace atl
