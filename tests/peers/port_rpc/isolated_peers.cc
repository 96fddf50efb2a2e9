// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/port_rpc/isolated_peers.h"

#include <optional>

#include "peers/store/filter/forwarding_store.h"

namespace atl {
namespace {

Task<void> Connect(RpcClient* client, std::optional<std::unique_ptr<RemoteStore>>* out) {
  auto store = co_await RemoteStore::Connect(client, "store");
  CHECK(store.ok()) << store.status().ToString();
  *out = *std::move(store);
}

std::unique_ptr<RemoteStore> ConnectOrDie(RpcClient* client, const Drive& drive) {
  std::optional<std::unique_ptr<RemoteStore>> store;
  drive(Connect(client, &store));
  return *std::move(store);
}

}  // namespace

std::unique_ptr<PeerPort> OpenPeerOrDie(Env* env, Segment* segment, std::string_view name) {
  auto port = PeerPort::Open(env, segment, name, {});
  CHECK(port.ok()) << port.status().ToString();
  return *std::move(port);
}

ServedStore::ServedStore(Env* env, Segment* segment, std::string_view name, Store* store)
    : port_(OpenPeerOrDie(env, segment, name)), server_(store) {
  port_->server().Add(StoreOps{}, &server_);
  port_->server().Serve();
}

// A store as a process sees it that may die: from then on it does nothing there any more. What it
// had asked for before happens.
class MortalStore final : public ForwardingStore {
 public:
  explicit MortalStore(std::unique_ptr<Store> below) : ForwardingStore(std::move(below)) {}
  void Die() { dead_ = true; }

 private:
  Task<Status> Before(const StoreCall&) override {
    co_return dead_ ? Status(Code::kUnavailable, "this process has died") : OkStatus();
  }
  Task<Status> After(const StoreCall&, Status outcome) override { co_return outcome; }

  bool dead_ = false;
};

ServedMaps::ServedMaps(Env* env, Segment* segment, const Drive& drive)
    : port_(OpenPeerOrDie(env, segment, "mapper")),
      maps_(env, &stores_),
      server_(&maps_, 1, port_->port().incarnation()) {
  auto store = ConnectOrDie(&port_->client(), drive);
  remote_ = store.get();
  auto mortal = std::make_unique<MortalStore>(std::move(store));
  store_ = mortal.get();
  stores_.Add(std::move(mortal));
  port_->server().Add(MapOps{}, &server_);
  port_->server().Serve();
}

void ServedMaps::Kill(const Drive& drive) {
  port_->port().Vanish();
  store_->Die();
  drive(End());
}

Task<void> ServedMaps::End() {
  co_await remote_->Close();  // Nor does it give back what it had adopted.
  co_await server_.Shutdown();
  co_await port_->server().Join();
  co_await server_.Shutdown();  // What was just being opened.
}

IsolatedPeers::IsolatedPeers(Env* env, Store* store, Drive drive)
    : env_(env),
      drive_(std::move(drive)),
      segment_(MakeSegment(kPeersGeometry)),
      store_(env, segment_.get(), "store", store),
      mapper_(std::make_unique<ServedMaps>(env, segment_.get(), drive_)),
      composer_(OpenPeerOrDie(env, segment_.get(), "composer")) {
  composer_stores_.Add(ConnectOrDie(&composer_->client(), drive_));
  auto mapper = composer_->client().Find("mapper");
  CHECK(mapper.ok()) << mapper.status().ToString();
  maps_ = std::make_unique<RemoteMapOpener>(&composer_->client(), *std::move(mapper));
}

void IsolatedPeers::ReplaceMapper() {
  const PortIndex port = mapper_->port().port().index();
  mapper_->Kill(drive_);
  mapper_.reset();
  CHECK(Quarantine(*segment_, port, ProofOfDeath::kCallerKnows).ok());
  // What it had asked the store for has ended, or its coroutines would not have.
  const auto released = Release(*segment_, port);
  CHECK(released.ok()) << released.status().ToString();
  mapper_ = std::make_unique<ServedMaps>(env_, segment_.get(), drive_);
}

}  // namespace atl
