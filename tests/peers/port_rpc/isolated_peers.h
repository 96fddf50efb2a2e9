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
#include "peers/store/remote/remote_store.h"
#include "peers/store/remote/store_server.h"
#include "peers/store/store_set.h"
#include "tests/xseg/segment_fixture.h"

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

class IsolatedPeers {
 public:
  // `run` drives the Env until a task has ended.
  template <typename Run>
  IsolatedPeers(Env* env, Store* store, Run run)
      : segment_(MakeSegment(kPeersGeometry)),
        store_(env, segment_.get(), "store", store),
        mapper_(OpenPeerOrDie(env, segment_.get(), "mapper")),
        composer_(OpenPeerOrDie(env, segment_.get(), "composer")),
        local_maps_(env, &mapper_stores_),
        map_server_(&local_maps_, 1, mapper_->port().incarnation()) {
    mapper_->server().Add(MapOps{}, &map_server_);
    mapper_->server().Serve();
    Connect(run, mapper_->client(), &mapper_stores_);
    Connect(run, composer_->client(), &composer_stores_);
    auto mapper = composer_->client().Find("mapper");
    CHECK(mapper.ok()) << mapper.status().ToString();
    maps_ = std::make_unique<RemoteMapOpener>(&composer_->client(), *std::move(mapper));
  }

  StoreSet& stores() { return composer_stores_; }
  MapOpener& maps() { return *maps_; }
  BufferPool& buffers() { return composer_->buffers(); }
  MapServer& map_server() { return map_server_; }
  PeerPort& composer() { return *composer_; }
  PeerPort& mapper() { return *mapper_; }
  Segment& segment() { return *segment_; }

 private:
  template <typename Run>
  void Connect(Run run, RpcClient& client, StoreSet* stores) {
    auto store = run(RemoteStore::Connect(&client, "store"));
    CHECK(store.ok()) << store.status().ToString();
    stores->Add(*std::move(store));
  }

  std::unique_ptr<Segment> segment_;
  ServedStore store_;
  std::unique_ptr<PeerPort> mapper_;
  std::unique_ptr<PeerPort> composer_;
  StoreSet mapper_stores_;
  StoreSet composer_stores_;
  LocalMapOpener local_maps_;
  MapServer map_server_;
  std::unique_ptr<RemoteMapOpener> maps_;
};

}  // namespace atl
