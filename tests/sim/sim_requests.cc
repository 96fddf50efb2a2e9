// SPDX-License-Identifier: Apache-2.0
//
// Requests to a device, in batches, all of a batch in flight at once. Those whose ranges overlap
// take effect in the order in which they are made.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tests/sim/simulation.h"

namespace atl::sim {

Device* Simulation::DeviceOf(const LifePtr& life, Resource* resource) {
  auto& device = life->devices[resource->uuid];
  if (device) return device.get();
  const int64_t began_ns = world_.now_ns();
  auto opened = world_.Run(life->atoll().Open(resource->ref(), OpenMode::kReadWrite));
  if (!opened) {
    Fail("opening a device never ends");
  } else if (Heard(life, resource, opened->status(), began_ns, "a device of " + resource->name)) {
    device = std::move(**opened);
  }
  return device.get();
}

void Simulation::CloseDevice(const LifePtr& life, Resource* resource) {
  const auto found = life->devices.find(resource->uuid);
  if (found == life->devices.end()) return;
  std::unique_ptr<Device> device = std::move(found->second);
  life->devices.erase(found);
  life->past.erase(resource->uuid);
  if (!device) return;
  const auto close = [](Device* closing) -> Task<Status> {
    co_await closing->Close();
    co_return OkStatus();
  };
  if (!world_.Run(close(device.get()))) Fail("closing a device never ends");
}

Simulation::BatchPtr Simulation::NewBatch(Resource* resource, const LifePtr& life) {
  auto batch = std::make_shared<Batch>();
  batch->resource = resource;
  batch->life = life;
  batch->began_ns = world_.now_ns();
  batch->device = DeviceOf(life, resource);
  return batch;
}

void Simulation::Launch(const BatchPtr& batch, uint64_t most) {
  Trace(fmt::format("requests to {} of {} bytes on machine {}", batch->resource->name,
                    batch->resource->oracle.size(), batch->life->machine));
  for (uint64_t count = 1 + Below(most); count > 0 && !failed(); --count) LaunchOne(batch);
}

ByteRange Simulation::PickRange(uint64_t size) {
  const uint64_t sectors = size / kSector;
  // Often in a few places, so that things meet.
  const uint64_t first = OneIn(2) ? Below(std::min<uint64_t>(sectors, 32)) : Below(sectors);
  const uint64_t most = OneIn(8) ? sectors : 24;
  const uint64_t count = std::min(sectors - first, 1 + Below(most));
  return {first * kSector, count * kSector};
}

void Simulation::LaunchOne(const BatchPtr& batch) {
  if (batch->device == nullptr || batch->life->dead || failed()) return;
  const ByteRange range = PickRange(batch->resource->oracle.size());
  const uint64_t kind = batch->resource->snapshot ? Below(5) : Below(16);
  switch (kind) {
    case 0 ... 3:
      return RunIn(batch, ReadTask(batch, range, batch->resource->oracle.Newest(range)));
    case 4:
      return RunIn(batch, ExtentsTask(batch, range, batch->resource->oracle.Newest(range)));
    case 5 ... 6: {
      const Request request{range, Submit(batch, range, Oracle::Kind::kZero), Oracle::Kind::kZero};
      return RunIn(batch, ZeroTask(batch, request, Below(8)));
    }
    case 7:
      return RunIn(batch, FlushTask(batch, batch->resource->oracle.Acknowledged()));
    default: {
      const auto what = OneIn(8) ? Oracle::Kind::kZero : Oracle::Kind::kWrite;
      DeviceWriteOptions options;
      options.fua = OneIn(8);
      options.detect_zeroes = OneIn(4);
      return RunIn(batch, WriteTask(batch, {range, Submit(batch, range, what), what}, options));
    }
  }
}

void Simulation::RunIn(const BatchPtr& batch, Task<void> task) {
  const auto counted = [](BatchPtr kept, Task<void> inner) -> Task<void> {
    co_await inner;
    --kept->running;
  };
  ++batch->running;
  batch->life->tasks.Run(counted(batch, std::move(task)));
}

Oracle::Mark Simulation::Submit(const BatchPtr& batch, ByteRange range, Oracle::Kind kind) {
  const Oracle::Mark mark = ++marks_;
  batch->resource->oracle.Submit(range, mark, kind);
  for (Oracle* image : batch->resource->images) image->Submit(range, mark, kind);
  return mark;
}

bool Simulation::HeardIn(const BatchPtr& batch, const Status& status, const char* what,
                         bool writes) {
  if (batch->life->dead || failed()) return false;
  Resource* resource = batch->resource;
  const std::string name = std::string(what) + " of " + resource->name;
  if (!Heard(batch->life, resource, status, batch->began_ns, name)) {
    batch->read_only |= writes && status.code() == Code::kReadOnly;
    return false;
  }
  if (writes && resource->read_only) Fail(name + " succeeds though the volume is read-only");
  return true;
}

Task<void> Simulation::ReadTask(BatchPtr batch, ByteRange range, std::vector<Oracle::Mark> newest) {
  Bytes out(range.length, std::byte{0xEE});
  Status status;
  if (!batch->device->TryRead(range.offset, out)) {
    status = co_await batch->device->Read(range.offset, out);
  }
  if (HeardIn(batch, status, "a read", false)) {
    batch->reads.push_back({range, std::move(newest), std::move(out)});
  }
}

void Simulation::Acknowledge(const BatchPtr& batch, Request request, bool durable) {
  batch->resource->oracle.Acknowledge(request.range, request.mark, false);
  batch->acknowledged.push_back(request);
  if (durable) batch->fua.push_back(request);
}

Task<void> Simulation::WriteTask(BatchPtr batch, Request request, DeviceWriteOptions options) {
  const Oracle::Mark carried = request.kind == Oracle::Kind::kZero ? 0 : request.mark;
  const Bytes data = Oracle::Fill(carried, request.range.length);
  Status status;
  if (!batch->device->TryWrite(request.range.offset, data, options)) {
    status = co_await batch->device->Write(request.range.offset, data, options);
  }
  if (HeardIn(batch, status, "a write", true)) Acknowledge(batch, request, options.fua);
}

Task<void> Simulation::ZeroTask(BatchPtr batch, Request request, uint64_t how) {
  DeviceZeroOptions options;
  options.fua = how == 0;
  options.no_hole = how < 4;
  DeviceWriteOptions discard;
  discard.fua = options.fua;
  const Status status = how % 2 == 0 ? co_await batch->device->WriteZeroes(request.range, options)
                                     : co_await batch->device->Discard(request.range, discard);
  if (HeardIn(batch, status, "a zeroing", true)) Acknowledge(batch, request, options.fua);
}

Task<void> Simulation::FlushTask(BatchPtr batch, std::vector<Oracle::Mark> covered) {
  const Status status = co_await batch->device->Flush();
  if (HeardIn(batch, status, "a flush", true)) batch->flushed.push_back(std::move(covered));
}

// What it calls zero is what a read would have shown.
Task<void> Simulation::ExtentsTask(BatchPtr batch, ByteRange range,
                                   std::vector<Oracle::Mark> newest) {
  const auto found = co_await batch->device->Extents(range, 16);
  if (!HeardIn(batch, found.status(), "a block status", false)) co_return;
  uint64_t at = range.offset;
  for (const DeviceExtent& extent : *found) {
    if (extent.range.offset != at || extent.range.empty() || extent.range.end() > range.end()) {
      Fail("a block status of " + batch->resource->name + " does not cover what it was asked for");
      co_return;
    }
    at = extent.range.end();
    if (!extent.zero) continue;
    const auto first =
        newest.begin() + static_cast<ptrdiff_t>((extent.range.offset - range.offset) / kSector);
    const auto count = static_cast<ptrdiff_t>(extent.range.length / kSector);
    batch->reads.push_back({extent.range, {first, first + count}, Bytes(extent.range.length)});
  }
}

void Simulation::FinishBatch(const BatchPtr& batch) {
  Resource* resource = batch->resource;
  resource->read_only |= batch->read_only;
  resource->around = std::exchange(batch->acknowledged, {});
  for (const SeenRead& read : std::exchange(batch->reads, {})) {
    if (world_.is_spoiled(resource->uuid)) continue;
    Complain(resource->oracle.CheckReadBehind(read.newest, read.range, read.bytes,
                                              "a read of " + resource->name));
  }
  for (const auto& covered : std::exchange(batch->flushed, {})) {
    resource->oracle.MakeDurable(covered);
  }
  for (const Request& request : std::exchange(batch->fua, {})) {
    resource->oracle.Acknowledge(request.range, request.mark, true);
  }
}

}  // namespace atl::sim
