// SPDX-License-Identifier: Apache-2.0
//
// The segment of an isolated node: how large it is, and who is called what there.
#pragma once

#include <string>

#include "peers/port_rpc/peer_port.h"
#include "tools/config/node_config.h"
#include "xseg/geometry.h"

namespace atl {

inline constexpr char kComposerPeer[] = "composer";
inline constexpr char kMapperPeer[] = "mapper";
inline constexpr char kNbdPeer[] = "nbd";
inline constexpr char kDaemonPort[] = "atolld";
inline constexpr char kCallsPrefix[] = "atolld/";  // And the daemon's pid.
inline constexpr char kStorePrefix[] = "store ";

inline std::string StorePeer(const StoreConfig& store) { return kStorePrefix + store.name; }
// The name of a peer's port: as the peer's, without spaces.
inline std::string PortNameOf(std::string peer) {
  for (char& c : peer) c = c == ' ' ? '/' : c;
  return peer;
}

// What each peer may have of the buffers at most. Stores have none of their own.
inline constexpr PeerPortOptions kFrontEndBuffers{.payload_bytes = 128 * kMiB,
                                                  .bounce_bytes = 32 * kMiB};
inline constexpr PeerPortOptions kPeerBuffers{.payload_bytes = 32 * kMiB,
                                              .bounce_bytes = 64 * kMiB};

constexpr uint64_t LimitOf(const PeerPortOptions& options) {
  return options.payload_bytes + options.bounce_bytes + RpcClient::kMessageBytes;
}

// Each class of blocks has as much as all limits together (nbd, atolld/PID, composer, mapper), so
// nobody waits for a block that somebody holds who waits for him. Memory is taken only where it is
// used.
inline Geometry NodeGeometry(const NodeConfig& config) {
  constexpr uint64_t kBytes = 2 * LimitOf(kFrontEndBuffers) + 2 * LimitOf(kPeerBuffers);
  constexpr uint32_t kSparePorts = 4;
  constexpr uint64_t kPeersBesidesStores = 5;  // The daemon has two.
  Geometry geometry;
  geometry.ports = static_cast<uint32_t>(config.stores.size() + kPeersBesidesStores) + kSparePorts;
  for (int c = 0; c < kBlockClasses; ++c) {
    // And some that ports keep for their next buffer.
    geometry.blocks[static_cast<size_t>(c)] =
        static_cast<uint32_t>(kBytes / kBlockBytes[static_cast<size_t>(c)]) + 16 * geometry.ports;
  }
  return geometry;
}

}  // namespace atl
