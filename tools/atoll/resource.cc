// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/resource.h"

#include <fmt/format.h>

#include <cctype>
#include <string_view>
#include <utility>

namespace atl {
namespace {

std::string Escape(std::string_view text, std::string_view kept) {
  std::string escaped;
  for (const char c : text) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || kept.find(c) != std::string_view::npos;
    escaped += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return escaped;
}

std::string StateOf(const ResourceInfo& info) {
  if (!info.read_only_reason.empty()) return "read-only";
  if (info.open) return "open";
  return info.holder.empty() ? "closed" : "locked";
}

Json SpaceJson(const ResourceInfo& info) {
  if (!info.space) return nullptr;
  return Json{{"true", info.space->true_bytes},
              {"exclusive", info.space->exclusive_bytes},
              {"shared", info.space->shared_bytes}};
}

std::string SpaceText(const ResourceInfo& info) {
  if (!info.space) return {};
  return fmt::format("{} true, {} exclusive, {} shared", SizeCell("", info.space->true_bytes).text,
                     SizeCell("", info.space->exclusive_bytes).text,
                     SizeCell("", info.space->shared_bytes).text);
}

std::string UuidText(const Uuid& uuid) { return uuid.is_zero() ? "" : uuid.ToString(); }

Cell DetailCount(std::string key, uint64_t count) {
  return DetailCell(std::move(key), count, std::to_string(count));
}
Cell DetailText(std::string key, const std::string& text) {
  return DetailCell(std::move(key), text, text);
}

}  // namespace

std::string NbdUri(const NodeStatus& node, const std::string& name) {
  const std::string path = Escape(name, "._-@/");
  if (!node.nbd_socket.empty()) {
    return fmt::format("nbd+unix:///{}?socket={}", path, Escape(node.nbd_socket, "._-/"));
  }
  return node.nbd_tcp.empty() ? "" : fmt::format("nbd://{}/{}", node.nbd_tcp, path);
}

Task<Result<ResourceInfo>> ShowOfKind(Context& context, ResourceKind kind, std::string name,
                                      bool with_space) {
  auto ref = ParseRef(name);
  if (!ref.ok()) co_return About(ref.status(), ToString(kind), name);
  auto info = co_await context.node().Show(*std::move(ref), with_space);
  if (!info.ok()) co_return About(info.status(), ToString(kind), name);
  if (info->kind != kind) {
    co_return Status(Code::kInvalid, fmt::format("{} {}: is a {}, not a {}", ToString(kind), name,
                                                 ToString(info->kind), ToString(kind)));
  }
  co_return info;
}

Row ResourceRow(const ResourceInfo& info, const std::string& nbd_uri) {
  const bool snapshot = info.kind == ResourceKind::kSnapshot;
  return {
      TextCell("name", info.name),
      DetailText("uuid", info.uuid.ToString()),
      DetailText("kind", std::string(ToString(info.kind))),
      SizeCell("size", info.size),
      TextCell("store", info.store),
      {"parent", info.parent_name,
       info.parent_name.empty() && !info.parent.is_zero() ? "(removed)" : info.parent_name},
      DetailText("parent_uuid", UuidText(info.parent)),
      {"state", StateOf(info), StateOf(info), Align::kLeft, snapshot && info.open},
      TimeCell("created", info.created_ns),
      DetailCell("created_ns", info.created_ns, ""),
      DetailCell("modified", TimeCell("", info.modified_ns).json,
                 TimeCell("", info.modified_ns).text),
      DetailCell("modified_ns", info.modified_ns, ""),
      DetailText("namespace", UuidText(info.name_space)),
      DetailCount("logical_block", info.logical_block),
      DetailCount("physical_block", info.physical_block),
      DetailCount("epoch", info.epoch),
      DetailCount("generation", info.generation),
      DetailCount("sources", info.sources),
      DetailCell("open", info.open, info.open ? "yes" : "no"),
      DetailText("holder", info.holder),
      DetailText("read_only_reason", info.read_only_reason),
      DetailCell("space", SpaceJson(info), SpaceText(info)),
      DetailText("nbd_uri", nbd_uri),
  };
}

Task<Result<std::vector<ResourceInfo>>> ListAll(Context& context, ListSpec spec) {
  std::vector<ResourceInfo> all;
  while (true) {
    CO_ASSIGN_OR_RETURN(ResourcePage page, co_await context.node().List(spec));
    for (ResourceInfo& info : page.items) all.push_back(std::move(info));
    if (page.last || page.items.empty()) co_return all;
    spec.after = all.back().name;
    spec.after_name_space = all.back().name_space;
  }
}

Task<Status> PrintResources(Context& context, ListSpec spec) {
  CO_ASSIGN_OR_RETURN(const auto all, co_await ListAll(context, std::move(spec)));
  if (context.Flag("quiet")) {
    for (const ResourceInfo& info : all) Print(info.name + "\n");
    co_return Status();
  }
  CO_ASSIGN_OR_RETURN(const NodeStatus node, co_await context.node().GetStatus());
  std::vector<Row> rows;
  rows.reserve(all.size());
  for (const ResourceInfo& info : all) rows.push_back(ResourceRow(info, NbdUri(node, info.name)));
  Print(RenderList(context.format(), ResourceRow({}, ""), rows));
  co_return Status();
}

Task<Status> PrintResource(Context& context, ResourceInfo info) {
  CO_ASSIGN_OR_RETURN(const NodeStatus node, co_await context.node().GetStatus());
  Print(RenderOne(context.format(), ResourceRow(info, NbdUri(node, info.name))));
  co_return Status();
}

Task<Status> PrintDone(Context& context, std::string said, ResourceInfo info) {
  if (context.format() == Format::kJson) {
    // What `show` says now; the answer to a change leaves out what takes time to find out.
    auto now = co_await context.node().Show(ResourceRef::Of(info.uuid), true);
    co_return co_await PrintResource(context, now.ok() ? *std::move(now) : std::move(info));
  }
  Print(said + "\n");
  co_return Status();
}

}  // namespace atl
