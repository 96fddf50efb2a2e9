// SPDX-License-Identifier: Apache-2.0
//
// The peers of an isolated node over one segment, all on one Env, so that they may run in virtual
// time: a store that is given, a mapper, and what a composer sees of both.
#pragma once

#include <memory>
#include <utility>

#include "peers/mapper/remote/map_server.h"
#include "peers/mapper/remote/remote_map.h"
#include "peers/port_rpc/peer_port.h"
#include "peers/store/filter/forwarding_store.h"
#include "peers/store/remote/remote_store.h"
#include "peers/store/remote/store_server.h"
#include "peers/store/store_set.h"
#include "tests/xseg/segment_fixture.h"
#include "xseg/reclaim.h"

namespace atl {

inline constexpr Geometry kPeersGeometry{
    .ports = 8, .slots_per_port = 64, .blocks = {2048, 512, 160}};

inline std::unique_ptr<PeerPort> OpenPeerOrDie(Env* env, Segment* segment, std::string_view name) {
  auto port = PeerPort::Open(env, segment, name, {});
  CHECK(port.ok()) << port.status().ToString();
  return *std::move(port);
}

// A store's end: `store` behind a port.
class ServedStore {
 public:
  ServedStore(Env* env, Segment* segment, std::string_view name, Store* store)
      : port_(OpenPeerOrDie(env, segment, name)), server_(store) {
    port_->server().Add(StoreOps{}, &server_);
    port_->server().Serve();
  }
  PeerPort& port() { return *port_; }

 private:
  std::unique_ptr<PeerPort> port_;
  StoreServer server_;
};

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

// A mapper's end: one of its processes.
class ServedMaps {
 public:
  template <typename Run>
  ServedMaps(Env* env, Segment* segment, Run run)
      : port_(OpenPeerOrDie(env, segment, "mapper")),
        maps_(env, &stores_),
        server_(&maps_, 1, port_->port().incarnation()) {
    auto store = run(RemoteStore::Connect(&port_->client(), "store"));
    CHECK(store.ok()) << store.status().ToString();
    remote_ = store->get();
    auto mortal = std::make_unique<MortalStore>(*std::move(store));
    store_ = mortal.get();
    stores_.Add(std::move(mortal));
    port_->server().Add(MapOps{}, &server_);
    port_->server().Serve();
  }
  PeerPort& port() { return *port_; }
  MapServer& server() { return server_; }
  // As by kill -9: it answers nobody any more, and what it still does on its way out has no effect.
  template <typename Run>
  void Kill(Run run) {
    port_->port().Vanish();
    store_->Die();
    run(End());
  }

 private:
  Task<bool> End() {
    co_await remote_->Close();  // Nor does it give back what it had adopted.
    co_await server_.Shutdown();
    co_await port_->server().Join();
    co_await server_.Shutdown();  // What was just being opened.
    co_return true;
  }

  std::unique_ptr<PeerPort> port_;
  StoreSet stores_;
  MortalStore* store_ = nullptr;
  RemoteStore* remote_ = nullptr;
  LocalMapOpener maps_;
  MapServer server_;
};

class IsolatedPeers {
 public:
  // `run` drives the Env until a task has ended.
  template <typename Run>
  IsolatedPeers(Env* env, Store* store, Run run)
      : env_(env),
        segment_(MakeSegment(kPeersGeometry)),
        store_(env, segment_.get(), "store", store),
        mapper_(std::make_unique<ServedMaps>(env, segment_.get(), run)),
        composer_(OpenPeerOrDie(env, segment_.get(), "composer")) {
    auto connected = run(RemoteStore::Connect(&composer_->client(), "store"));
    CHECK(connected.ok()) << connected.status().ToString();
    composer_stores_.Add(*std::move(connected));
    auto mapper = composer_->client().Find("mapper");
    CHECK(mapper.ok()) << mapper.status().ToString();
    maps_ = std::make_unique<RemoteMapOpener>(&composer_->client(), *std::move(mapper));
  }

  StoreSet& stores() { return composer_stores_; }
  MapOpener& maps() { return *maps_; }
  BufferPool& buffers() { return composer_->buffers(); }
  MapServer& map_server() { return mapper_->server(); }
  PeerPort& composer() { return *composer_; }
  PeerPort& mapper() { return mapper_->port(); }
  Segment& segment() { return *segment_; }

  // The mapper's process dies, and another one takes its place.
  template <typename Run>
  void ReplaceMapper(Run run) {
    const PortIndex port = mapper_->port().port().index();
    mapper_->Kill(run);
    mapper_.reset();
    CHECK(Quarantine(*segment_, port, ProofOfDeath::kCallerKnows).ok());
    // What it had asked the store for has ended, or its coroutines would not have.
    const auto released = Release(*segment_, port);
    CHECK(released.ok()) << released.status().ToString();
    mapper_ = std::make_unique<ServedMaps>(env_, segment_.get(), run);
  }

 private:
  Env* env_;
  std::unique_ptr<Segment> segment_;
  ServedStore store_;
  std::unique_ptr<ServedMaps> mapper_;
  std::unique_ptr<PeerPort> composer_;
  StoreSet composer_stores_;
  std::unique_ptr<RemoteMapOpener> maps_;
};

}  // namespace atl
