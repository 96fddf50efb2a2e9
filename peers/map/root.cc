// SPDX-License-Identifier: Apache-2.0
#include "peers/map/root.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "peers/format/checked.h"
#include "peers/format/header.h"
#include "peers/map/node_header.h"

namespace atl {
namespace {

constexpr std::string_view kMagic = "ATRT";
constexpr uint8_t kKnownSourceFlags = kSourceUnsealed;

// Sorted, without doubles: what entries name by their place in it.
using UuidTable = std::vector<Uuid>;

uint16_t PlaceIn(const UuidTable& table, const Uuid& uuid) {
  return static_cast<uint16_t>(std::lower_bound(table.begin(), table.end(), uuid) - table.begin());
}

template <typename Field>
UuidTable TableOf(const Root& root, Field field) {
  std::set<Uuid> distinct;
  for (const auto& [index, source] : root.sources) distinct.insert(source.*field);
  return {distinct.begin(), distinct.end()};
}

UuidTable GetTable(Decoder* in, size_t count) {
  UuidTable table;
  for (size_t i = 0; i < count && in->ok(); ++i) {
    table.push_back(in->GetUuid());
    if (i > 0 && table[i] <= table[i - 1]) in->Fail();
  }
  return table;
}

Status Invalid(std::string message) { return {Code::kInvalid, std::move(message)}; }

Status CheckSource(SourceIndex index, const Source& source) {
  if (source.type < SourceType::kBlob || source.type > SourceType::kNodes) {
    return Invalid(
        fmt::format("source {} has the unknown type {}", index, static_cast<int>(source.type)));
  }
  if (source.owner.is_zero()) return Invalid(fmt::format("source {} has no owner", index));
  if (source.type == SourceType::kNodes && source.instance != 0) {
    return Invalid(fmt::format("source {} is nodes of instance {}", index, source.instance));
  }
  if (source.count > kMapGrains) {
    return Invalid(fmt::format("source {} counts {}, more than a map has", index, source.count));
  }
  if ((source.flags & ~kKnownSourceFlags) != 0) {
    return {Code::kUnsupported,
            fmt::format("source {} has flags 0x{:x}, unknown here", index, source.flags)};
  }
  return {};
}

Status CheckTop(const Root& root) {
  const NodePointer top = root.top;
  if (!top.is_valid()) return Invalid("the pointer to the top is impossible");
  if (top == NodePointer::Uniform(kZeroSource)) return {};
  const auto found = root.sources.find(top.is_node() ? top.blob() : top.source());
  if (found == root.sources.end()) return Invalid("the top is in a source that is not listed");
  if ((found->second.type == SourceType::kNodes) != top.is_node()) {
    return Invalid("the top is in a source of the wrong type");
  }
  return {};
}

// What Encode refuses to write and Decode refuses to read.
Status CheckRoot(const Root& root) {
  if (root.sources.size() > kMaxSources) {
    return {Code::kLimit,
            fmt::format("{} sources, a map has at most {}", root.sources.size(), kMaxSources)};
  }
  if (root.next_index < 1 || root.next_index > kMaxSourceIndex + 1) {
    return Invalid(fmt::format("the next index {} is impossible", root.next_index));
  }
  uint64_t grains = 0;
  for (const auto& [index, source] : root.sources) {
    if (index == kZeroSource || index >= root.next_index) {
      return Invalid(fmt::format("source {} was never given out", index));
    }
    RETURN_IF_ERROR(CheckSource(index, source));
    if (source.type != SourceType::kNodes) grains += source.count;
  }
  if (grains > kMapGrains) return Invalid("the counts exceed what a map has");
  return CheckTop(root);
}

void PutSource(Encoder* out, SourceIndex index, const Source& source, const UuidTable& owners,
               const UuidTable& stores) {
  out->Put(source.count);
  out->Put(source.epoch);
  out->Put(index);
  out->Put(source.instance);
  out->Put(PlaceIn(owners, source.owner));
  out->Put(PlaceIn(stores, source.store));
  out->Put(static_cast<uint8_t>(source.type));
  out->Put(source.flags);
  out->Zeros(2);
}

void GetSource(Decoder* in, const UuidTable& owners, const UuidTable& stores, Root* root) {
  Source source;
  source.count = in->Get<uint64_t>();
  source.epoch = in->Get<uint32_t>();
  const auto index = in->Get<SourceIndex>();
  source.instance = in->Get<uint16_t>();
  const auto owner = in->Get<uint16_t>();
  const auto store = in->Get<uint16_t>();
  source.type = static_cast<SourceType>(in->Get<uint8_t>());
  source.flags = in->Get<uint8_t>();
  const auto reserved = in->Get<uint16_t>();
  const bool in_order = root->sources.empty() || index > root->sources.rbegin()->first;
  if (!in->ok() || !in_order || reserved != 0 || owner >= owners.size() || store >= stores.size()) {
    in->Fail();
    return;
  }
  source.owner = owners[owner];
  source.store = stores[store];
  root->sources.emplace_hint(root->sources.end(), index, source);
}

Status Corrupt(const NodePlace& place, std::string_view what) {
  return {Code::kCorrupt,
          fmt::format("root at {} of {}: {}", place.offset, place.log.ToString(), what)};
}

Result<Root> GetBody(Decoder* in, const FormatFlags& flags, const NodePlace& place) {
  Root root{.flags = flags};
  root.top = NodePointer::FromRaw(in->Get<uint64_t>());
  root.next_index = in->Get<uint32_t>();
  const auto owner_count = in->Get<uint16_t>();
  const auto store_count = in->Get<uint16_t>();
  const auto source_count = in->Get<uint32_t>();
  if (source_count > kMaxSources || owner_count > source_count || store_count > source_count) {
    return Corrupt(place, "its tables are too long");
  }
  const UuidTable owners = GetTable(in, owner_count);
  const UuidTable stores = GetTable(in, store_count);
  for (uint32_t i = 0; i < source_count && in->ok(); ++i) GetSource(in, owners, stores, &root);
  if (!in->done()) return Corrupt(place, "its tables are wrong");
  if (TableOf(root, &Source::owner) != owners || TableOf(root, &Source::store) != stores) {
    return Corrupt(place, "its tables list what no source uses");
  }
  return root;
}

}  // namespace

Result<Bytes> EncodeRoot(const Root& root, const NodePlace& place) {
  RETURN_IF_ERROR(CheckRoot(root).With("root node"));
  const UuidTable owners = TableOf(root, &Source::owner);
  const UuidTable stores = TableOf(root, &Source::store);
  Encoder out;
  BeginChecked(&out, kMagic, root.flags);
  out.Put(root.top.raw());
  out.Put(root.next_index);
  out.Put(static_cast<uint16_t>(owners.size()));
  out.Put(static_cast<uint16_t>(stores.size()));
  out.Put(static_cast<uint32_t>(root.sources.size()));
  for (const Uuid& owner : owners) out.Put(owner);
  for (const Uuid& store : stores) out.Put(store);
  for (const auto& [index, source] : root.sources) PutSource(&out, index, source, owners, stores);
  CHECK(out.size() <= kMaxRootBytes);
  return FinishChecked(&out, SeedOf(place));
}

uint32_t RootChecksum(ConstSpan encoded) {
  CHECK(encoded.size() >= kCheckedHeaderBytes);
  return Decoder(encoded.subspan(kEnvelopeBytes)).Get<uint32_t>();
}

Result<Root> DecodeRoot(ConstSpan bytes, const NodePlace& place, uint32_t checksum) {
  auto body = OpenChecked(bytes, kMagic, SeedOf(place));
  if (!body.ok() && body.code() == Code::kUnsupported) return body.status().With("root node");
  if (!body.ok()) return Corrupt(place, body.status().message());
  if (body->checksum != checksum) return Corrupt(place, "it is another root than the header names");
  ASSIGN_OR_RETURN(Root root, GetBody(&body->in, body->flags, place));
  if (const Status status = CheckRoot(root); !status.ok()) {
    if (status.code() == Code::kUnsupported) return status.With("root node");
    return Corrupt(place, status.message());
  }
  return root;
}

}  // namespace atl
