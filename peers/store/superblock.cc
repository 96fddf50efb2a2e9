// SPDX-License-Identifier: Apache-2.0
#include "peers/store/superblock.h"

namespace atl {
namespace {

constexpr uint32_t kMagic = 0x42534C41;  // "ALSB"
constexpr uint16_t kFormat = 1;
constexpr uint32_t kKnownIncompat = 0;
constexpr size_t kMaxDriverName = 64;

}  // namespace

RecordKey SuperblockKey() { return {.kind = RecordKind::kSuperblock, .name = {}}; }

Bytes EncodeSuperblock(const Superblock& superblock) {
  Encoder out;
  out.Put(kMagic);
  out.Put(kFormat);
  out.Put(uint16_t{0});
  out.Put(uint32_t{0});  // compat
  out.Put(uint32_t{0});  // read-only compat
  out.Put(uint32_t{0});  // incompat
  out.Put(superblock.store);
  out.Put(superblock.created_ns);
  out.Text(superblock.driver);
  out.Put(static_cast<uint32_t>(superblock.header_stores.size()));
  for (const Uuid& store : superblock.header_stores) out.Put(store);
  return out.Take();
}

Result<Superblock> DecodeSuperblock(ConstSpan bytes) {
  Decoder in(bytes);
  if (in.Get<uint32_t>() != kMagic) return Status(Code::kCorrupt, "superblock: wrong magic");
  const auto format = in.Get<uint16_t>();
  in.Get<uint16_t>();
  in.Get<uint32_t>();
  in.Get<uint32_t>();
  const auto incompat = in.Get<uint32_t>();
  if (!in.ok()) return Status(Code::kCorrupt, "superblock: too short");
  if (format != kFormat || (incompat & ~kKnownIncompat) != 0) {
    return Status(Code::kUnsupported, "superblock: written by a newer program");
  }
  Superblock superblock;
  superblock.store = in.GetUuid();
  superblock.created_ns = in.Get<int64_t>();
  superblock.driver = in.Text(kMaxDriverName);
  const auto count = in.Get<uint32_t>();
  if (count > kMaxHeaderStores) return Status(Code::kCorrupt, "superblock: too many stores");
  for (uint32_t i = 0; i < count && in.ok(); ++i) superblock.header_stores.push_back(in.GetUuid());
  if (!in.done() || superblock.store.is_zero()) {
    return Status(Code::kCorrupt, "superblock: wrong length");
  }
  return superblock;
}

}  // namespace atl
