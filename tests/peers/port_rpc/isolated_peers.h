// SPDX-License-Identifier: Apache-2.0
//
// The peers of an isolated node over one segment, all on one Env, so that they may run in virtual
// time: a store that is given, a mapper, and what a composer sees of both.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "peers/mapper/remote/map_server.h"
#include "peers/mapper/remote/remote_map.h"
#include "peers/port_rpc/peer_port.h"
#include "peers/store/remote/remote_store.h"
#include "peers/store/remote/store_server.h"
#include "peers/store/store_set.h"
#include "tests/xseg/segment_fixture.h"
#include "xseg/reclaim.h"

namespace atl {

inline constexpr Geometry kPeersGeometry{
    .ports = 8, .slots_per_port = 64, .blocks = {2048, 512, 160}};

// Drives an Env until a task has ended.
using Drive = std::function<void(Task<void>)>;

std::unique_ptr<PeerPort> OpenPeerOrDie(Env* env, Segment* segment, std::string_view name);

// A store's end: `store` behind a port.
class ServedStore {
 public:
  ServedStore(Env* env, Segment* segment, std::string_view name, Store* store);
  PeerPort& port() { return *port_; }
  StoreServer& server() { return server_; }

 private:
  std::unique_ptr<PeerPort> port_;
  StoreServer server_;
};

class MortalStore;

// A mapper's end: one of its processes.
class ServedMaps {
 public:
  ServedMaps(Env* env, Segment* segment, const Drive& drive);
  PeerPort& port() { return *port_; }
  MapServer& server() { return server_; }
  // As by kill -9: it answers nobody any more, and what it still does on its way out has no effect.
  void Kill(const Drive& drive);

 private:
  Task<void> End();

  std::unique_ptr<PeerPort> port_;
  StoreSet stores_;
  MortalStore* store_ = nullptr;
  RemoteStore* remote_ = nullptr;
  LocalMapOpener maps_;
  MapServer server_;
};

class IsolatedPeers {
 public:
  IsolatedPeers(Env* env, Store* store, Drive drive);

  StoreSet& stores() { return composer_stores_; }
  MapOpener& maps() { return *maps_; }
  BufferPool& buffers() { return composer_->buffers(); }
  MapServer& map_server() { return mapper_->server(); }
  PeerPort& composer() { return *composer_; }
  PeerPort& mapper() { return mapper_->port(); }
  Segment& segment() { return *segment_; }

  // The mapper's process dies, and another one takes its place.
  void ReplaceMapper();

 private:
  Env* env_;
  Drive drive_;
  std::unique_ptr<Segment> segment_;
  ServedStore store_;
  std::unique_ptr<ServedMaps> mapper_;
  std::unique_ptr<PeerPort> composer_;
  StoreSet composer_stores_;
  std::unique_ptr<RemoteMapOpener> maps_;
};

}  // namespace atl
