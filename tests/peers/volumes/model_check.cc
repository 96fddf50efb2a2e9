// SPDX-License-Identifier: Apache-2.0
//
// Lives and deaths of the model's node, and what is checked after them.
#include <spdlog/spdlog.h>

#include <iterator>
#include <set>
#include <utility>

#include "tests/peers/volumes/model.h"

namespace atl {

void Model::StartNode() {
  spdlog::set_level(spdlog::level::info);
  world_->Start();
  dying_ = false;
  for (auto& [uuid, resource] : resources_) resource.opened = false;
}

void Model::Restart() {
  while (!devices_.empty()) CloseDevice(&resources_[devices_.begin()->first]);
  Expect(world_->Stop(), "a stop");
  for (auto& [uuid, resource] : resources_) {
    if (resource.opened && !resource.snapshot) resource.oracle.Flush();
  }
  StartNode();
  CheckSome("after a restart");
}

void Model::Die(TaskGroup* in_flight, bool power) {
  dying_ = true;
  spdlog::set_level(spdlog::level::off);  // It is known that they fail.
  if (power) {
    world_->LosePower(random_());
  } else {
    world_->Kill();
  }
  world_->Run(in_flight->Join());
  devices_.clear();
  StartNode();
  CheckMetadata("after a death");
}

void Model::DieInInputOutput() {
  Batch batch;
  if (!Open(&batch)) return;
  Launch(&batch);
  const bool power = world_->can_lose_power() && Below(2) == 0;
  world_->LetRun(random_(), batch.group);
  Die(&batch.group, power);
  if (failed()) return;
  if (power) return SettleAll();
  const Bytes bytes = Look(batch.resource);
  if (failed()) return;
  const std::string what = batch.resource->name + " after a death";
  Complain(batch.resource->oracle.Settle(bytes, Oracle::Crash::kDeath, what));
  CheckSome("after a death");
}

void Model::SettleAll() {
  for (auto& [uuid, resource] : resources_) {
    const Bytes bytes = Look(&resource);
    if (failed()) return;
    const std::string what = resource.name + " after a power loss";
    Complain(resource.oracle.Settle(bytes, Oracle::Crash::kPowerLoss, what));
  }
}

// --- Looking at things ---------------------------------------------------------------------------

Task<Status> Model::ReadWhole(Resource* resource, Bytes* bytes) {
  const uint64_t size = resource->oracle.size();
  const ResourceRef ref = ResourceRef::Of(resource->uuid);
  resource->opened = true;
  CO_ASSIGN_OR_RETURN(const auto device, co_await atoll().Open(ref, OpenMode::kReadOnly));
  EXPECT_EQ(device->info().size, size) << resource->name;
  bytes->assign(size, std::byte{0xEE});
  const Status status = co_await device->Read(0, *bytes);
  co_await device->Close();
  co_return status;
}

Bytes Model::Look(Resource* resource) {
  Bytes bytes;
  Expect(world_->Run(ReadWhole(resource, &bytes)), "reading " + resource->name);
  return bytes;
}

void Model::Check(Resource* resource, const std::string& when) {
  const Bytes bytes = Look(resource);
  if (!failed()) Complain(resource->oracle.CheckRead(bytes, resource->name + " " + when));
}

void Model::CheckSome(const std::string& when) {
  if (resources_.empty() || failed()) return;
  auto at = resources_.begin();
  std::advance(at, Below(resources_.size()));
  Check(&at->second, when);
}

void Model::CheckAll() {
  for (auto& [uuid, resource] : resources_) {
    Check(&resource, "at the end");
    if (failed()) return;
  }
  CheckNames();
  CheckMetadata("at the end");
}

void Model::CheckNames() {
  std::set<std::string> known, listed;
  for (const auto& [uuid, resource] : resources_) known.insert(resource.name);
  const auto page = world_->Run(atoll().List({}));
  Expect(page.ok() ? Status() : page.status(), "a listing");
  if (!page.ok()) return;
  for (const ResourceInfo& item : page->items) listed.insert(item.name);
  EXPECT_EQ(listed, known);
}

namespace {

std::string FirstError(const Result<CheckReport>& report) {
  if (!report.ok()) return report.status().ToString();
  if (report->errors == 0) return "";
  const Finding& finding = report->findings.front();
  return finding.resource + ": " + finding.what;
}

}  // namespace

void Model::CheckMetadata(const std::string& when) {
  if (failed()) return;
  const CheckSpec all;
  EXPECT_EQ(FirstError(world_->Run(atoll().Check(all))), "") << "a check " << when;
}

Task<void> Model::CheckBeside(Batch* batch) {
  const CheckSpec all;
  const auto report = co_await atoll().Check(all);
  if (!Counts(report.ok() ? Status() : report.status(), "a check")) co_return;
  EXPECT_EQ(FirstError(report), "") << "a check beside " << batch->resource->name;
}

// With everything removed, one collection leaves nothing for another.
void Model::CheckNothingIsLeft() {
  while (!devices_.empty()) CloseDevice(&resources_[devices_.begin()->first]);
  for (const auto& [uuid, resource] : resources_) {
    Expect(world_->Run(atoll().Remove(ResourceRef::Of(uuid))), "removing " + resource.name);
  }
  resources_.clear();
  const auto collected = world_->Run(atoll().CollectGarbage(false));
  Expect(collected.ok() ? Status() : collected.status(), "a collection");
  const auto left = world_->Run(atoll().CollectGarbage(true));
  Expect(left.ok() ? Status() : left.status(), "a collection");
  if (left.ok()) EXPECT_EQ(left->blobs + left->logs, 0u) << left->items.front();
}

}  // namespace atl
