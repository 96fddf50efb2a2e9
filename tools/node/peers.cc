// SPDX-License-Identifier: Apache-2.0
//
// Each peer is the class of the fused placement with ports for its neighbours.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "kernel/local/server.h"
#include "kernel/nbd/server.h"
#include "peers/mapper/remote/map_server.h"
#include "peers/mapper/remote/remote_map.h"
#include "peers/port_ops.h"
#include "peers/store/file/file_store.h"
#include "peers/store/remote/remote_store.h"
#include "peers/store/remote/store_server.h"
#include "peers/volumes/local_atoll.h"
#include "peers/volumes/remote/atoll_server.h"
#include "peers/volumes/remote/port_atoll.h"
#include "tools/node/garbage_timer.h"
#include "tools/node/incarnation.h"
#include "tools/node/local_server.h"
#include "tools/node/nbd_options.h"
#include "tools/node/node_segment.h"
#include "tools/node/peer.h"
#include "tools/node/store_list.h"

namespace atl {
namespace {

Result<std::unique_ptr<PeerPort>> OpenPort(const PeerHost& host, const std::string& peer,
                                           PeerPortOptions options) {
  return PeerPort::Open(&host.executor, &host.segment, PortNameOf(peer), options);
}

enum class Reads : uint8_t { kAreAsked, kBeside };

// All stores of the configuration, in its order.
Task<Status> ConnectStores(const PeerHost& host, RpcClient* client, StoreSet* stores, Reads reads) {
  for (const StoreConfig& one : host.config.stores) {
    const std::string port = PortNameOf(StorePeer(one));
    CO_ASSIGN_OR_RETURN(auto store, co_await RemoteStore::Connect(client, port));
    if (reads == Reads::kBeside) store->ReadBeside(host.executor, one.path);
    stores->Add(std::move(store));
    NoteRole(host.config, static_cast<StoreSlot>(stores->size() - 1), stores);
  }
  co_return OkStatus();
}

// Tells the supervisor.
class SupervisorKeeper final : public HoldingsKeeper {
 public:
  static Result<std::unique_ptr<SupervisorKeeper>> Make(RpcClient* client) {
    ASSIGN_OR_RETURN(RpcTarget supervisor, client->Find(kDaemonPort));
    return std::make_unique<SupervisorKeeper>(client, std::move(supervisor));
  }
  SupervisorKeeper(RpcClient* client, RpcTarget supervisor)
      : client_(client), supervisor_(std::move(supervisor)) {}
  Task<Status> Note(Holding what) override {
    return client_->Tell(supervisor_, PeerHoldsOp{std::move(what)});
  }
  Task<Status> Drop(Holding what) override {
    return client_->Tell(supervisor_, PeerLeftOp{std::move(what)});
  }

 private:
  RpcClient* client_;
  RpcTarget supervisor_;
};

class StorePeerProgram final : public Peer {
 public:
  StorePeerProgram(const PeerHost& host, const StoreConfig& config)
      : host_(host), config_(config) {}

  Task<Status> Start() override {
    StoreLinks links;
    const auto remains = host_.stores.find(config_.name);
    if (remains != host_.stores.end() && IsInMemory(config_)) {
      CO_ASSIGN_OR_RETURN(links.memory_place, remains->second.MemoryPlace());
    } else if (remains != host_.stores.end()) {
      CO_ASSIGN_OR_RETURN(WitnessBox::Ends ends, remains->second.OpenWitnesses());
      auto witnesses = WitnessBox::Open(std::move(ends));
      if (!witnesses.ok()) {
        spdlog::warn("{}: serving without witnesses of failed writes: {}", config_.name,
                     witnesses.status().ToString());
      } else {
        witnesses_ = *std::move(witnesses);
        links.witnesses = witnesses_.get();
      }
    }
    CO_ASSIGN_OR_RETURN(store_, OpenConfiguredStore(host_.config, config_, host_.executor, links));
    CO_ASSIGN_OR_RETURN(port_, OpenPort(host_, StorePeer(config_), kPeerBuffers));
    CO_ASSIGN_OR_RETURN(keeper_, SupervisorKeeper::Make(&port_->client()));
    server_ = std::make_unique<StoreServer>(store_.get(), keeper_.get());
    // A filter wants to see each read, so this is of a bare one only.
    if (const auto* file = dynamic_cast<const FileStore*>(store_.get())) {
      server_->TellFolder(file->folder());
    }
    if (host_.heirloom) co_await server_->Inherit(host_.heirloom->holdings);
    port_->server().Add(StoreOps{}, server_.get());
    port_->server().Serve();
    co_return OkStatus();
  }
  Task<void> Stop() override {
    if (port_) co_await port_->server().Join();
    if (store_) co_await store_->Close();
  }

 private:
  PeerHost host_;
  const StoreConfig& config_;
  std::unique_ptr<WitnessBox> witnesses_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<PeerPort> port_;
  std::unique_ptr<SupervisorKeeper> keeper_;
  std::unique_ptr<StoreServer> server_;
};

class MapperPeerProgram final : public Peer {
 public:
  explicit MapperPeerProgram(const PeerHost& host)
      : host_(host), maps_(&host_.executor, &stores_) {}

  Task<Status> Start() override {
    CO_ASSIGN_OR_RETURN(port_, OpenPort(host_, kMapperPeer, kPeerBuffers));
    CO_RETURN_IF_ERROR(co_await ConnectStores(host_, &port_->client(), &stores_, Reads::kAreAsked));
    const uint32_t life = port_->port().incarnation();
    server_ = std::make_unique<MapServer>(&maps_, stores_.size(), life);
    port_->server().Add(MapOps{}, server_.get());
    port_->server().Serve();
    co_return OkStatus();
  }
  Task<void> Stop() override {
    if (server_) co_await server_->Shutdown();
    if (port_) co_await port_->server().Join();
    if (server_) co_await server_->Shutdown();  // What was just being opened.
  }

 private:
  PeerHost host_;
  std::unique_ptr<PeerPort> port_;
  StoreSet stores_;
  LocalMapOpener maps_;
  std::unique_ptr<MapServer> server_;
};

class ComposerPeerProgram final : public Peer {
 public:
  explicit ComposerPeerProgram(const PeerHost& host) : host_(host), garbage_(&host_.executor) {}

  Task<Status> Start() override {
    CO_ASSIGN_OR_RETURN(port_, OpenPort(host_, kComposerPeer, kPeerBuffers));
    CO_RETURN_IF_ERROR(co_await ConnectStores(host_, &port_->client(), &stores_, Reads::kBeside));
    CO_ASSIGN_OR_RETURN(RpcTarget mapper, port_->client().Find(PortNameOf(kMapperPeer)));
    maps_ = std::make_unique<RemoteMapOpener>(&port_->client(), std::move(mapper));
    CO_RETURN_IF_ERROR(co_await MakeAtoll());
    const auto trace = [this](std::string name, bool json) {
      return atoll_->Trace(std::move(name), json);
    };
    const uint32_t life = port_->port().incarnation();
    CO_ASSIGN_OR_RETURN(keeper_, SupervisorKeeper::Make(&port_->client()));
    server_ =
        std::make_unique<AtollServer>(&host_.executor, atoll_.get(), trace, life, keeper_.get());
    if (host_.heirloom) server_->Inherit(host_.heirloom->holdings, LivingFrontEnds());
    port_->server().Add(VolumeOps{}, server_.get());
    port_->server().Add(PortOps{}, server_.get());
    port_->server().Serve();
    garbage_.Start(atoll_.get());
    co_return OkStatus();
  }
  Task<void> Stop() override {
    co_await garbage_.Stop();
    if (server_) co_await server_->Shutdown();
    if (atoll_) {
      const Status status = co_await atoll_->Shutdown();
      if (!status.ok()) spdlog::error("closing volumes: {}", status.ToString());
    }
    if (port_) co_await port_->server().Join();
    for (StoreSlot slot = 0; slot < stores_.size(); ++slot) co_await stores_.at(slot).Close();
  }

 private:
  std::vector<PortIndex> LivingFrontEnds() const {
    std::vector<PortIndex> ports;
    for (PortIndex i = 0; i < host_.segment.geometry().ports; ++i) {
      const PortRecord& record = host_.segment.port(i);
      const std::string name = record.LoadName();
      const bool is_one = name == kNbdPeer || name.starts_with(kCallsPrefix);
      const bool active = record.LoadControl().state == PortState::kActive;
      if (is_one && active && IsAlive(record.owner())) ports.push_back(i);
    }
    return ports;
  }
  Task<Status> MakeAtoll() {
    CO_ASSIGN_OR_RETURN(const Uuid before, ReadPredecessor(host_.config.state_dir));
    const bool continues = host_.heirloom.has_value() && !before.is_zero();
    // Who takes the place of another in the same life of the node has what that one had.
    const Uuid incarnation = continues ? before : host_.executor.NewUuid();
    atoll_ = std::make_unique<LocalAtoll>(&host_.executor, &stores_, maps_.get(), &port_->buffers(),
                                          MakeIdentity(host_.config, incarnation),
                                          MakeComposerOptions(host_.config));
    if (continues) co_return OkStatus();
    if (!before.is_zero()) {
      // Its locks are then judged one by one, at the first use.
      const Status buried = co_await atoll_->BuryPredecessor(before);
      if (!buried.ok()) {
        spdlog::warn("the lease of the node before this one: {}", buried.ToString());
      }
    }
    co_return WriteIncarnation(host_.config.state_dir, incarnation);
  }

  PeerHost host_;
  std::unique_ptr<PeerPort> port_;
  StoreSet stores_;
  std::unique_ptr<RemoteMapOpener> maps_;
  std::unique_ptr<LocalAtoll> atoll_;
  std::unique_ptr<SupervisorKeeper> keeper_;
  std::unique_ptr<AtollServer> server_;
  GarbageTimer garbage_;
};

// All front ends: what they have to share is the connection to the composer.
class NbdPeerProgram final : public Peer {
 public:
  explicit NbdPeerProgram(const PeerHost& host) : host_(host) {}

  Task<Status> Start() override {
    CO_ASSIGN_OR_RETURN(port_, OpenPort(host_, kNbdPeer, kFrontEndBuffers));
    CO_ASSIGN_OR_RETURN(RpcTarget composer, port_->client().Find(PortNameOf(kComposerPeer)));
    composer.name = kComposerPeer;
    atoll_ = std::make_unique<PortAtoll>(port_.get(), std::move(composer));
    CO_ASSIGN_OR_RETURN(const nbd::ServerOptions options, NbdOptions(host_.config));
    auto server = std::make_unique<nbd::NbdServer>(&host_.executor, atoll_.get(), options);
    CO_RETURN_IF_ERROR((co_await server->Start()).With("the NBD front end"));
    server_ = std::move(server);
    CO_ASSIGN_OR_RETURN(local_,
                        co_await StartLocalServer(host_.config, &host_.executor, atoll_.get()));
    port_->server().Add(OpList<PeerStatsOp, PeerGoneOp>{}, this);
    port_->server().Serve();
    co_return OkStatus();
  }
  Task<void> Stop() override {
    if (local_) co_await local_->Stop(StopMode::kGraceful);
    if (server_) co_await server_->Stop(StopMode::kGraceful);
    if (port_) co_await port_->server().Join();
  }
  Task<Result<std::vector<PortStats>>> Do(const RpcCall&, PeerStatsOp&) {
    std::vector<PortStats> rows = server_->Stats();
    if (!local_) co_return rows;
    const std::vector<PortStats> more = local_->Stats();
    rows.insert(rows.end(), more.begin(), more.end());
    co_return rows;
  }
  // The composer; there is another one.
  Task<Status> Do(const RpcCall&, PeerGoneOp&) {
    atoll_->Rejoin();
    co_return OkStatus();
  }

 private:
  PeerHost host_;
  std::unique_ptr<PeerPort> port_;
  std::unique_ptr<PortAtoll> atoll_;
  std::unique_ptr<nbd::NbdServer> server_;
  std::unique_ptr<local::LocalServer> local_;
};

}  // namespace

Result<std::unique_ptr<Peer>> MakePeer(const PeerHost& host, const std::string& name) {
  if (name == kMapperPeer) return std::unique_ptr<Peer>(std::make_unique<MapperPeerProgram>(host));
  if (name == kComposerPeer) {
    return std::unique_ptr<Peer>(std::make_unique<ComposerPeerProgram>(host));
  }
  if (name == kNbdPeer) return std::unique_ptr<Peer>(std::make_unique<NbdPeerProgram>(host));
  for (const StoreConfig& store : host.config.stores) {
    if (StorePeer(store) != name) continue;
    return std::unique_ptr<Peer>(std::make_unique<StorePeerProgram>(host, store));
  }
  return Status(Code::kNotFound, fmt::format("the configuration has no peer '{}'", name));
}

}  // namespace atl
