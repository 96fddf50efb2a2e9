// SPDX-License-Identifier: Apache-2.0
//
// Requests of the model: in batches, all of a batch in flight at once.
#include <algorithm>
#include <utility>

#include "tests/peers/volumes/model.h"

namespace atl {

Device* Model::DeviceOf(Resource* resource) {
  auto& device = devices_[resource->uuid];
  if (!device) {
    auto opened = world_->Run(atoll().Open(ResourceRef::Of(resource->uuid), OpenMode::kReadWrite));
    Expect(opened.ok() ? Status() : opened.status(), "opening " + resource->name);
    if (opened.ok()) device = *std::move(opened);
  }
  return device.get();
}

void Model::CloseDevice(Resource* resource) {
  const auto found = devices_.find(resource->uuid);
  if (found == devices_.end()) return;
  if (found->second) world_->Run(found->second->Close());
  devices_.erase(found);
}

void Model::CloseSome() {
  if (Resource* volume = Pick(false)) CloseDevice(volume);
}

ByteRange Model::PickRange(uint64_t size) {
  const uint64_t sectors = size / kSector;
  const uint64_t first = Below(sectors);
  // Mostly a few sectors, sometimes whole leaves.
  const uint64_t most = Below(8) == 0 ? sectors : 24;
  const uint64_t count = std::min(sectors - first, 1 + Below(most));
  return {first * kSector, count * kSector};
}

bool Model::Open(Batch* batch) {
  batch->resource = Pick(false);
  if (batch->resource == nullptr) return false;
  batch->device = DeviceOf(batch->resource);
  return batch->device != nullptr;
}

// Requests that overlap take effect in the order in which they are made.
void Model::Launch(Batch* batch, uint64_t most) {
  batch->resource->opened = true;
  for (uint64_t count = 1 + Below(most); count > 0; --count) {
    const ByteRange range = PickRange(batch->resource->oracle.size());
    switch (Below(16)) {
      case 0 ... 3:
        Read(batch, range);
        break;
      case 4 ... 6:
        Zero(batch, range);
        break;
      case 7:
        Flush(batch);
        break;
      default:
        Write(batch, range);
    }
  }
}

void Model::InputOutput() {
  Batch batch;
  if (!Open(&batch)) return;
  // Without a draw of its own, so that sequences stay what they are.
  if (marks_ % 8 == 0) batch.group.Run(CheckBeside(&batch));
  Launch(&batch);
  MayReplaceTheMapper(&batch, 3);
  world_->Run(batch.group.Join());
}

void Model::MayReplaceTheMapper(Batch* batch, uint64_t often) {
  if (!world_->can_replace_the_mapper() || Below(often) != 0) return;
  world_->LetRun(random_(), batch->group);
  world_->ReplaceTheMapper();
}

// Whether it was answered well. In virtual time the coroutines of a dead node run to their end;
// what they say there nobody has heard.
bool Model::Counts(const Status& status, const std::string& what) {
  Expect(status, what);
  return status.ok() && !dying_;
}

// --- One request ---------------------------------------------------------------------------------

Oracle::Mark Model::Submit(Batch* batch, ByteRange range, Oracle::Kind kind) {
  const Oracle::Mark mark = ++marks_;
  batch->requests.push_back({range, mark, kind});
  batch->resource->oracle.Submit(range, mark, kind);
  if (batch->resource->image) batch->resource->image->Submit(range, mark, kind);
  return mark;
}

void Model::Read(Batch* batch, ByteRange range) {
  batch->group.Run(ReadTask(batch, range, batch->resource->oracle.Shown(range)));
}
Task<void> Model::ReadTask(Batch* batch, ByteRange range, std::vector<Oracle::Mark> shown) {
  Bytes out(range.length, std::byte{0xEE});
  Status status;
  if (!batch->device->TryRead(range.offset, out)) {
    status = co_await batch->device->Read(range.offset, out);
  }
  if (Counts(status, "a read"))
    Complain(Oracle::CheckRead(shown, range, out, "a read of " + batch->resource->name));
}

void Model::Flush(Batch* batch) {
  batch->group.Run(FlushTask(batch, batch->resource->oracle.Acknowledged()));
}
Task<void> Model::FlushTask(Batch* batch, std::vector<Oracle::Mark> covered) {
  const Status status = co_await batch->device->Flush();
  if (Counts(status, "a flush")) batch->resource->oracle.MakeDurable(covered);
}

void Model::Write(Batch* batch, ByteRange range) {
  const Oracle::Kind kind = Below(8) == 0 ? Oracle::Kind::kZero : Oracle::Kind::kWrite;
  const Oracle::Mark mark = Submit(batch, range, kind);
  Bytes data = Oracle::Fill(kind == Oracle::Kind::kZero ? 0 : mark, range.length);
  DeviceWriteOptions options;
  options.fua = Below(8) == 0;
  options.detect_zeroes = Below(4) == 0;
  batch->group.Run(WriteTask(batch, range, mark, std::move(data), options));
}
Task<void> Model::WriteTask(Batch* batch, ByteRange range, Oracle::Mark mark, Bytes data,
                            DeviceWriteOptions options) {
  Status status;
  if (!batch->device->TryWrite(range.offset, data, options)) {
    status = co_await batch->device->Write(range.offset, data, options);
  }
  if (Counts(status, "a write")) batch->resource->oracle.Acknowledge(range, mark, options.fua);
}

void Model::Zero(Batch* batch, ByteRange range) {
  const Oracle::Mark mark = Submit(batch, range, Oracle::Kind::kZero);
  batch->group.Run(ZeroTask(batch, range, mark, Below(8)));
}
Task<void> Model::ZeroTask(Batch* batch, ByteRange range, Oracle::Mark mark, uint64_t kind) {
  DeviceZeroOptions options;
  options.fua = kind == 0;
  options.no_hole = kind < 4;
  DeviceWriteOptions discard;
  discard.fua = options.fua;
  const Status status = kind % 2 == 0 ? co_await batch->device->WriteZeroes(range, options)
                                      : co_await batch->device->Discard(range, discard);
  if (Counts(status, "a zeroing")) batch->resource->oracle.Acknowledge(range, mark, options.fua);
}

// --- A snapshot while requests are in flight -----------------------------------------------------

void Model::SnapshotUnderLoad() {
  Batch batch;
  if (full() || !Open(&batch)) return;
  Resource* volume = batch.resource;
  Launch(&batch);
  world_->LetRun(random_(), batch.group);
  Resource* snapshot = Add(NewUuid(), "s" + std::to_string(++names_));
  snapshot->snapshot = true;
  snapshot->parent = volume->uuid;
  std::vector<Oracle::Mark> floor = volume->oracle.Acknowledged();
  snapshot->oracle = volume->oracle;
  snapshot->oracle.MakeDurable(floor);
  volume->image = &snapshot->oracle;
  batch.group.Run(TakeSnapshot(&batch, snapshot, std::move(floor)));
  if (marks_ % 2 == 0) batch.group.Run(CheckBeside(&batch));
  // Some come in at each of its steps.
  for (int i = 0; i < 12 && volume->image != nullptr && !failed(); ++i) {
    Launch(&batch, 2);
    world_->LetRun(Below(30), batch.group);
    MayReplaceTheMapper(&batch, 8);
  }
  world_->Run(batch.group.Join());
}

// Reads it at once: what a request that is still in flight does to it later is seen in the end.
Task<void> Model::TakeSnapshot(Batch* batch, Resource* snapshot, std::vector<Oracle::Mark> floor) {
  SnapshotSpec spec;
  spec.uuid = snapshot->uuid;
  spec.volume = ResourceRef::Of(snapshot->parent);
  spec.name = snapshot->name;
  const auto taken = co_await atoll().Snapshot(spec);
  batch->resource->image = nullptr;
  Expect(taken.ok() ? Status() : taken.status(), "a snapshot under load");
  if (!taken.ok()) co_return;
  batch->resource->oracle.MakeDurable(floor);
  Bytes bytes;
  const Status status = co_await ReadWhole(snapshot, &bytes);
  Expect(status, "reading a snapshot under load");
  if (!status.ok()) co_return;
  Complain(snapshot->oracle.Settle(bytes, Oracle::Crash::kPowerLoss, "a snapshot under load"));
  CheckWhole(*batch, bytes);
}

// It is of one point in time, so each request is in it or it is not.
void Model::CheckWhole(const Batch& batch, ConstSpan bytes) {
  const auto zeroed = [](const Request& r) { return r.kind == Oracle::Kind::kZero; };
  const bool zeros_tell = std::ranges::none_of(batch.requests, zeroed);
  for (const Request& request : batch.requests) {
    if (zeroed(request)) continue;
    bool in = false, out = false;
    for (uint64_t at = request.range.offset; at < request.range.end(); at += kSector) {
      Oracle::Mark mark = 0;
      Complain(Oracle::MarkOf(bytes.subspan(at, kSector), "a snapshot", at, &mark));
      if (mark == 0 && !zeros_tell) continue;
      (mark >= request.mark ? in : out) = true;
    }
    EXPECT_FALSE(in && out) << "a snapshot has a part of a write at " << request.range.offset;
  }
}

}  // namespace atl
