// SPDX-License-Identifier: Apache-2.0
#include "kernel/nbd/catalog.h"

#include <utility>

#include "kernel/nbd/limits.h"

namespace atl::nbd {
namespace {

ExportFacts FactsOf(const ResourceInfo& info) {
  return {.name = info.name,
          .description = std::string(ToString(info.kind)),
          .size = info.size,
          .read_only = info.kind == ResourceKind::kSnapshot || !info.read_only_reason.empty()};
}

// What cannot be a name cannot exist either.
Status CheckName(const std::string& name) {
  const Status status = ValidateName(name);
  if (status.ok()) return {};
  return {Code::kNotFound, std::string(status.message())};
}

}  // namespace

Task<Result<ExportPage>> Catalog::List(std::string after) {
  ListSpec spec;
  spec.name_space = Uuid{};
  spec.after = std::move(after);
  spec.limit = kListPage;
  CO_ASSIGN_OR_RETURN(const ResourcePage resources, co_await atoll_->List(std::move(spec)));
  ExportPage page;
  page.last = resources.last;
  for (const ResourceInfo& info : resources.items) {
    page.items.push_back({info.name, std::string(ToString(info.kind))});
  }
  co_return page;
}

Task<Result<ExportFacts>> Catalog::Look(std::string name) {
  CO_RETURN_IF_ERROR(CheckName(name));
  ResourceRef ref = ResourceRef::Named(std::move(name));
  CO_ASSIGN_OR_RETURN(const ResourceInfo info, co_await atoll_->Show(std::move(ref), false));
  co_return FactsOf(info);
}

Task<Result<OpenedExport>> Catalog::Open(std::string name) {
  CO_ASSIGN_OR_RETURN(ExportFacts facts, co_await Look(name));
  ResourceRef ref = ResourceRef::Named(std::move(name));
  const OpenMode mode = facts.read_only ? OpenMode::kReadOnly : OpenMode::kReadWrite;
  CO_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, co_await atoll_->Open(std::move(ref), mode));
  facts.size = device->info().size;
  facts.read_only = device->info().read_only;
  co_return OpenedExport{std::move(facts), std::move(device)};
}

}  // namespace atl::nbd
