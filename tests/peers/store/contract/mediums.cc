// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>

#include "medium.h"
#include "peers/store/checksum/checksum_store.h"
#include "peers/store/file/file_store.h"
#include "peers/store/filter/checked_filter.h"
#include "peers/store/filter/delay_filter.h"
#include "peers/store/filter/error_filter.h"
#include "peers/store/memory/memory_store.h"
#include "temp_dir.h"
#include "tests/peers/port_rpc/isolated_peers.h"
#include "xseg/base/executor.h"
#include "xseg/base/test_env.h"

namespace atl {
namespace {

class MemoryMedium : public Medium {
 public:
  MemoryMedium(MemoryWorldOptions world, MemoryStoreOptions store)
      : world_(world), options_(std::move(store)) {
    options_.world = &world_;
  }
  Env& env() override { return env_; }
  std::unique_ptr<Store> OpenBare() override {
    return std::make_unique<MemoryStore>(env_, options_);
  }
  void Drive(Task<void> task) override {
    bool done = false;
    Spawn(Mark(std::move(task), &done));
    while (!done && env_.Step()) {
    }
    CHECK(done) << "the task waits for something that never comes";
    env_.scheduler().RunReady();  // The end of what ran the task.
  }

 protected:
  const MemoryStoreOptions& options() const { return options_; }

 private:
  static Task<void> Mark(Task<void> task, bool* done) {
    co_await task;
    *done = true;
  }
  TestEnv env_;
  MemoryWorld world_;
  MemoryStoreOptions options_;
};

// A store behind two ports of a segment of its own.
class StoreOverPorts final : public RemoteStore {
 public:
  static std::unique_ptr<StoreOverPorts> Make(Env& env, std::unique_ptr<Store> store) {
    auto ports = std::make_unique<Ports>(env, std::move(store));
    auto target = ports->client->client().Find("store");
    CHECK(target.ok()) << target.status().ToString();
    return std::unique_ptr<StoreOverPorts>(
        new StoreOverPorts(std::move(ports), *std::move(target)));
  }
  Task<void> Close() override {
    co_await RemoteStore::Close();
    co_await ports_->store->Close();
  }
  StoreServer& server() { return ports_->served.server(); }

 private:
  struct Ports {
    Ports(Env& env, std::unique_ptr<Store> below)
        : store(std::move(below)),
          segment(MakeSegment(kPeersGeometry)),
          served(&env, segment.get(), "store", store.get()),
          client(OpenPeerOrDie(&env, segment.get(), "client")) {}
    std::unique_ptr<Store> store;
    std::unique_ptr<Segment> segment;
    ServedStore served;
    std::unique_ptr<PeerPort> client;
  };
  StoreOverPorts(std::unique_ptr<Ports> ports, RpcTarget target)
      : RemoteStore(&ports->client->client(), std::move(target), ports->store->info()),
        ports_(std::move(ports)) {}
  std::unique_ptr<Ports> ports_;
};

class MemoryOverPortsMedium final : public MemoryMedium {
 public:
  MemoryOverPortsMedium() : MemoryMedium(MemoryWorldOptions{}, MemoryStoreOptions{}) {}
  std::unique_ptr<Store> OpenBare() override {
    return StoreOverPorts::Make(env(), MemoryMedium::OpenBare());
  }
};

class FileMedium : public Medium {
 public:
  explicit FileMedium(FileStoreOptions options, const char* below = nullptr)
      : directory_(below), options_(std::move(options)) {
    options_.path = directory_.path();
    options_.create = true;
    options_.reserve_bytes = kMiB;
  }
  Env& env() override { return executor_; }
  std::unique_ptr<Store> OpenBare() override { return OpenFile(); }
  void Drive(Task<void> task) override {
    executor_.RunUntilDone(std::move(task));
    executor_.scheduler().RunReady();  // The end of what ran the task.
  }

 protected:
  std::unique_ptr<FileStore> OpenFile() {
    auto store = FileStore::Open(executor_, options_);
    CHECK(store.ok()) << store.status().ToString();
    return *std::move(store);
  }
  Executor& executor() { return executor_; }
  const std::string& path() const { return options_.path; }

 private:
  TempDir directory_;
  FileStoreOptions options_;
  Executor executor_;
};

// What the page cache has is read beside the store.
class FileOverPortsMedium final : public FileMedium {
 public:
  FileOverPortsMedium() : FileMedium({}) {}
  std::unique_ptr<Store> OpenBare() override {
    auto file = OpenFile();
    const BlobFolder folder = file->folder();
    auto store = StoreOverPorts::Make(env(), std::move(file));
    store->server().TellFolder(folder);
    store->ReadBeside(executor(), path());
    return store;
  }
};

constexpr MediumRow kMediums[] = {
    {"Memory",
     []() -> std::unique_ptr<Medium> {
       return std::make_unique<MemoryMedium>(MemoryWorldOptions{}, MemoryStoreOptions{});
     }},
    {"MemoryDurableAtAck",
     []() -> std::unique_ptr<Medium> {
       return std::make_unique<MemoryMedium>(MemoryWorldOptions{.durable_at_ack = true},
                                             MemoryStoreOptions{});
     },
     false},
    {"MemorySlow",
     []() -> std::unique_ptr<Medium> {
       return std::make_unique<MemoryMedium>(
           MemoryWorldOptions{},
           MemoryStoreOptions{.min_delay_ns = 1, .max_delay_ns = 10 * kMillisecond});
     }},
    {"MemoryOverPorts",
     []() -> std::unique_ptr<Medium> { return std::make_unique<MemoryOverPortsMedium>(); }},
    {"File",
     []() -> std::unique_ptr<Medium> { return std::make_unique<FileMedium>(FileStoreOptions{}); }},
    {"FileDirect",
     []() -> std::unique_ptr<Medium> {
       return std::make_unique<FileMedium>(FileStoreOptions{.direct = true});
     }},
    {"FileOverPorts",
     []() -> std::unique_ptr<Medium> { return std::make_unique<FileOverPortsMedium>(); }, false},
    // So few open files that they come and go all the time, on a file system that cannot seal.
    {"FileFewDescriptors",
     []() -> std::unique_ptr<Medium> {
       return std::make_unique<FileMedium>(FileStoreOptions{.max_open_files = 2}, "/dev/shm");
     },
     false},
};

constexpr FilterRow kFilters[] = {
    // The first one is none.
    {"Bare", [](Env&, std::unique_ptr<Store> store) { return store; }},
    // Chooses nothing: the calls pass through it unchanged.
    {"UnderError",
     [](Env&, std::unique_ptr<Store> store) -> std::unique_ptr<Store> {
       return std::make_unique<ErrorFilter>(std::move(store), ErrorFilterOptions{});
     }},
    {"UnderDelay",
     [](Env& env, std::unique_ptr<Store> store) -> std::unique_ptr<Store> {
       return std::make_unique<DelayFilter>(env, std::move(store),
                                            DelayFilterOptions{.max_ns = 200 * kMicrosecond});
     }},
    // Regions become clean and dirty all the time.
    {"UnderChecksums",
     [](Env& env, std::unique_ptr<Store> store) -> std::unique_ptr<Store> {
       return std::make_unique<ChecksumStore>(
           env, std::move(store),
           ChecksumOptions{.generation = 7, .quiet_ns = kMillisecond, .max_cached_pages = 8});
     }},
    // The suite breaks the callers' rules on purpose: they are noted, and the store answers.
    {"UnderChecked",
     [](Env&, std::unique_ptr<Store> store) -> std::unique_ptr<Store> {
       return std::make_unique<CheckedFilter>(std::move(store), [](const std::string&) {});
     }},
};

}  // namespace

std::span<const MediumRow> AllMediums() { return kMediums; }
std::span<const FilterRow> AllFilters() { return kFilters; }

std::vector<ContractParam> EveryMediumUnderEveryFilter() {
  std::vector<ContractParam> params;
  for (const MediumRow& medium : AllMediums()) {
    const auto filters = AllFilters();
    for (const FilterRow& filter : filters.first(medium.under_filters ? filters.size() : 1)) {
      params.push_back({medium, filter});
    }
  }
  return params;
}

std::string ParamName(const testing::TestParamInfo<ContractParam>& info) {
  return std::string(info.param.medium.name) + info.param.filter.name;
}

uint64_t TestSeed(uint64_t otherwise) {
  const char* given = std::getenv("ATOLL_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 0) : otherwise;
  std::printf("ATOLL_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace atl
