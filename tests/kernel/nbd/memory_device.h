// SPDX-License-Identifier: Apache-2.0
//
// A strict `Atoll` over heap memory: real bytes, holes by 4 KiB grain, unflushed state shared by
// all devices of a volume, delays and failures on request. It checks what devices may rely on:
// ranges, lives, buffers.
//
// Threads: of the Env it is given.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "peers/client/atoll.h"
#include "xseg/base/check.h"
#include "xseg/base/env.h"

namespace atl {

inline Status NotInMemory() { return {Code::kUnsupported, "not in memory"}; }

// The content of one volume. Chunks of 1 MiB are made when they are first written.
class MemoryVolume {
 public:
  enum class State : uint8_t { kHole, kZero, kData };

  MemoryVolume(ResourceInfo info) : info_(std::move(info)) {}  // NOLINT

  ResourceInfo& info() { return info_; }
  // Writes that no flush has covered; on all devices together.
  uint64_t unflushed = 0;
  uint64_t flushes = 0;
  uint64_t open_devices = 0;
  uint64_t prefetches = 0;

  void Read(uint64_t offset, MutSpan out) {
    ForEachPart({offset, out.size()}, [&](Chunk* chunk, uint64_t at, uint64_t in_chunk, size_t n) {
      std::byte* to = out.data() + (at - offset);
      if (chunk == nullptr) {
        std::memset(to, 0, n);
      } else {
        std::memcpy(to, chunk->bytes.data() + in_chunk, n);
      }
    });
  }
  void Write(uint64_t offset, ConstSpan data) {
    Make({offset, data.size()});
    ForEachPart({offset, data.size()}, [&](Chunk* chunk, uint64_t at, uint64_t in_chunk, size_t n) {
      std::memcpy(chunk->bytes.data() + in_chunk, data.data() + (at - offset), n);
      chunk->Mark(in_chunk, n, State::kData);
    });
  }
  void Zero(ByteRange range, bool keep) {
    if (keep) Make(range);
    ForEachPart(range, [&](Chunk* chunk, uint64_t at, uint64_t in_chunk, size_t n) {
      if (chunk == nullptr) return;
      std::memset(chunk->bytes.data() + in_chunk, 0, n);
      const ByteRange whole = ByteRange{in_chunk, n}.RoundIn(kSubGrain);
      if (!whole.empty()) {
        chunk->Mark(whole.offset, whole.length, keep ? State::kZero : State::kHole);
      }
    });
  }
  State StateAt(uint64_t offset) const {
    const auto it = chunks_.find(offset / kMiB);
    if (it == chunks_.end()) return State::kHole;
    return it->second->states[offset % kMiB / kSubGrain];
  }
  // The bytes themselves; empty where there are none, or not all in one place.
  ConstSpan View(uint64_t offset, size_t length) const {
    const auto it = chunks_.find(offset / kMiB);
    if (it == chunks_.end() || offset % kMiB + length > kMiB) return {};
    return ConstSpan(it->second->bytes).subspan(offset % kMiB, length);
  }
  bool HasChunk(uint64_t offset) const { return chunks_.contains(offset / kMiB); }

 private:
  struct Chunk {
    std::array<std::byte, kMiB> bytes{};
    std::array<State, kMiB / kSubGrain> states{};
    void Mark(uint64_t offset, uint64_t length, State state) {
      for (uint64_t i = offset / kSubGrain; i <= (offset + length - 1) / kSubGrain; ++i) {
        states[i] = state;
      }
    }
  };
  template <typename F>
  void ForEachPart(ByteRange range, F f) {
    for (uint64_t at = range.offset; at < range.end();) {
      const uint64_t end = std::min(range.end(), (at / kMiB + 1) * kMiB);
      const auto it = chunks_.find(at / kMiB);
      f(it == chunks_.end() ? nullptr : it->second.get(), at, at % kMiB, end - at);
      at = end;
    }
  }
  void Make(ByteRange range) {
    if (range.empty()) return;
    for (uint64_t i = range.offset / kMiB; i <= (range.end() - 1) / kMiB; ++i) {
      auto& chunk = chunks_[i];
      if (!chunk) chunk = std::make_unique<Chunk>();
    }
  }

  ResourceInfo info_;
  std::unordered_map<uint64_t, std::unique_ptr<Chunk>> chunks_;
};

// How the devices of a MemoryAtoll behave; may be changed at any time.
struct MemoryBehaviour {
  // Called for each operation ("read", "write", "flush", "discard", "zero", "extents",
  // "prefetch", "show", "open", "list").
  std::function<int64_t(std::string_view)> delay_ns;  // Empty: none, it ends at once.
  std::function<Status(std::string_view)> fail;
  // TryRead and TryWrite succeed; the functions above are not asked then.
  bool at_once = false;
  // What TryView gives.
  std::function<ConstSpan(MemoryVolume*, uint64_t, size_t)> view;
};

class MemoryDevice final : public Device {
 public:
  MemoryDevice(Env* env, BufferPool* pool, std::shared_ptr<MemoryVolume> volume,
               MemoryBehaviour* behaviour, bool read_only)
      : env_(env), pool_(pool), volume_(std::move(volume)), behaviour_(behaviour) {
    const ResourceInfo& info = volume_->info();
    info_ = {info.uuid, info.name, info.size, info.logical_block, info.physical_block, read_only};
    ++volume_->open_devices;
  }
  ~MemoryDevice() override { CHECK(closed_) << "a device is closed before it goes"; }

  const DeviceInfo& info() const override { return info_; }
  BufferPool& buffers() override { return *pool_; }

  Task<Status> Read(uint64_t offset, MutSpan out) override {
    InFlight running(this);
    Check({offset, out.size()});
    CO_RETURN_IF_ERROR(co_await Behave("read"));
    volume_->Read(offset, out);
    co_return OkStatus();
  }
  Task<Status> Write(uint64_t offset, ConstSpan data, DeviceWriteOptions options) override {
    InFlight running(this);
    CheckWrite({offset, data.size()});
    CO_RETURN_IF_ERROR(co_await Behave("write"));
    volume_->Write(offset, data);
    Wrote(options.fua);
    co_return OkStatus();
  }
  bool TryRead(uint64_t offset, MutSpan out) override {
    InFlight running(this);
    Check({offset, out.size()});
    if (!behaviour_->at_once) return false;
    volume_->Read(offset, out);
    return true;
  }
  bool TryWrite(uint64_t offset, ConstSpan data, DeviceWriteOptions options) override {
    InFlight running(this);
    Check({offset, data.size()});
    if (!behaviour_->at_once || info_.read_only || options.fua) return false;
    volume_->Write(offset, data);
    Wrote(false);
    return true;
  }
  ConstSpan TryView(uint64_t offset, size_t length) override {
    InFlight running(this);
    Check({offset, length});
    return behaviour_->view ? behaviour_->view(volume_.get(), offset, length) : ConstSpan();
  }
  Task<Status> Flush() override {
    InFlight running(this);
    const uint64_t covered = volume_->unflushed;
    CO_RETURN_IF_ERROR(co_await Behave("flush"));
    volume_->unflushed -= std::min(covered, volume_->unflushed);
    ++volume_->flushes;
    co_return OkStatus();
  }
  Task<Status> Discard(ByteRange range, DeviceWriteOptions options) override {
    InFlight running(this);
    CheckWrite(range);
    CO_RETURN_IF_ERROR(co_await Behave("discard"));
    volume_->Zero(range, false);
    Wrote(options.fua);
    co_return OkStatus();
  }
  // Fast only for whole grains, so that both answers can be seen.
  Task<Status> WriteZeroes(ByteRange range, DeviceZeroOptions options) override {
    InFlight running(this);
    CheckWrite(range);
    if (options.fast_only && range.RoundIn(kSubGrain) != range) {
      co_return Status(Code::kUnsupported, "zeroing part of a grain is not fast");
    }
    CO_RETURN_IF_ERROR(co_await Behave("zero"));
    volume_->Zero(range, options.no_hole);
    Wrote(options.fua);
    co_return OkStatus();
  }
  Task<Result<std::vector<DeviceExtent>>> Extents(ByteRange range, size_t limit) override {
    InFlight running(this);
    Check(range);
    CHECK(limit > 0);
    CO_RETURN_IF_ERROR(co_await Behave("extents"));
    std::vector<DeviceExtent> out;
    for (uint64_t at = range.offset; at < range.end();) {
      const auto state = volume_->StateAt(at);
      const bool hole = state == MemoryVolume::State::kHole;
      const bool zero = state != MemoryVolume::State::kData;
      const uint64_t unit = volume_->HasChunk(at) ? kSubGrain : kMiB;
      const uint64_t end = std::min(range.end(), (at / unit + 1) * unit);
      if (!out.empty() && out.back().hole == hole && out.back().zero == zero) {
        out.back().range.length = end - out.back().range.offset;
      } else if (out.size() == limit) {
        break;
      } else {
        out.push_back({{at, end - at}, hole, zero});
      }
      at = end;
    }
    co_return out;
  }
  Task<Status> Prefetch(ByteRange range) override {
    InFlight running(this);
    Check(range);
    CO_RETURN_IF_ERROR(co_await Behave("prefetch"));
    ++volume_->prefetches;
    co_return OkStatus();
  }
  Task<void> Close() override {
    CHECK(!closed_ && in_flight_ == 0) << "closed once, with nothing in flight";
    closed_ = true;
    --volume_->open_devices;
    co_return;
  }

 private:
  struct InFlight {
    explicit InFlight(MemoryDevice* device) : device(device) {
      CHECK(!device->closed_);
      ++device->in_flight_;
    }
    ~InFlight() { --device->in_flight_; }
    MemoryDevice* device;
  };
  void Check(ByteRange range) const {
    CHECK(range.offset <= info_.size && range.length <= info_.size - range.offset);
  }
  void CheckWrite(ByteRange range) const {
    Check(range);
    CHECK(!info_.read_only);
  }
  void Wrote(bool fua) {
    if (!fua) ++volume_->unflushed;
  }
  Task<Status> Behave(std::string_view what) {
    if (behaviour_->delay_ns) co_await env_->Sleep(behaviour_->delay_ns(what));
    if (behaviour_->fail) co_return behaviour_->fail(what);
    co_return OkStatus();
  }

  Env* env_;
  BufferPool* pool_;
  std::shared_ptr<MemoryVolume> volume_;
  MemoryBehaviour* behaviour_;
  DeviceInfo info_;
  bool closed_ = false;
  uint64_t in_flight_ = 0;
};

class MemoryAtoll final : public Atoll {
 public:
  explicit MemoryAtoll(Env* env, size_t buffer_bytes = 256 * kMiB)
      : env_(env), buffers_(buffer_bytes) {}

  MemoryBehaviour behaviour;
  HeapBufferPool& buffers() { return buffers_; }

  std::shared_ptr<MemoryVolume> Add(const std::string& name, uint64_t size,
                                    ResourceKind kind = ResourceKind::kVolume) {
    ResourceInfo info;
    info.uuid = env_->NewUuid();
    info.kind = kind;
    info.name = name;
    info.size = size;
    auto volume = std::make_shared<MemoryVolume>(std::move(info));
    volumes_[name] = volume;
    return volume;
  }

  // It exists.
  MemoryVolume* Find(const std::string& name) { return volumes_.at(name).get(); }

  Task<Result<ResourceInfo>> Show(ResourceRef ref, bool) override {
    CO_RETURN_IF_ERROR(co_await Behave("show"));
    const auto it = volumes_.find(ref.name);
    if (it == volumes_.end()) co_return Missing(ref);
    co_return it->second->info();
  }
  Task<Result<ResourcePage>> List(ListSpec spec) override {
    CO_RETURN_IF_ERROR(co_await Behave("list"));
    ResourcePage page;
    for (auto it = volumes_.upper_bound(spec.after); it != volumes_.end(); ++it) {
      if (page.items.size() == spec.limit) {
        page.last = false;
        break;
      }
      page.items.push_back(it->second->info());
    }
    co_return page;
  }
  Task<Result<std::unique_ptr<Device>>> Open(ResourceRef ref, OpenMode mode) override {
    CO_RETURN_IF_ERROR(co_await Behave("open"));
    const auto it = volumes_.find(ref.name);
    if (it == volumes_.end()) co_return Missing(ref);
    const bool snapshot = it->second->info().kind == ResourceKind::kSnapshot;
    CHECK(!snapshot || mode == OpenMode::kReadOnly) << "a snapshot is opened for reading";
    std::unique_ptr<Device> device = std::make_unique<MemoryDevice>(
        env_, &buffers_, it->second, &behaviour, mode == OpenMode::kReadOnly);
    co_return std::move(device);
  }

  Task<Result<ResourceInfo>> Create(CreateSpec) override { co_return NotInMemory(); }
  Task<Result<ResourceInfo>> Snapshot(SnapshotSpec) override { co_return NotInMemory(); }
  Task<Result<ResourceInfo>> Resize(ResourceRef, uint64_t, bool) override {
    co_return NotInMemory();
  }
  Task<Result<ResourceInfo>> Rename(ResourceRef, std::string) override { co_return NotInMemory(); }
  Task<Status> Remove(ResourceRef) override { co_return NotInMemory(); }
  Task<Result<ResourceInfo>> Rollback(ResourceRef, ResourceRef) override {
    co_return NotInMemory();
  }
  Task<Status> Acquire(ResourceRef) override { co_return NotInMemory(); }
  Task<Status> Release(ResourceRef) override { co_return NotInMemory(); }
  Task<Result<LockInfo>> GetLock(ResourceRef) override { co_return NotInMemory(); }
  Task<Status> BreakLock(ResourceRef, bool) override { co_return NotInMemory(); }
  Task<Result<std::vector<StoreState>>> Stores() override { co_return NotInMemory(); }
  Task<Result<GcReport>> CollectGarbage(bool) override { co_return NotInMemory(); }
  Task<Result<CheckReport>> Check(CheckSpec) override { co_return NotInMemory(); }
  Task<Result<ScrubStatus>> Scrub(ScrubSpec) override { co_return NotInMemory(); }
  Task<Result<std::vector<PortStats>>> Stats() override { co_return NotInMemory(); }

 private:
  static Status Missing(const ResourceRef& ref) {
    return {Code::kNotFound, "no resource is called '" + ref.name + "'"};
  }
  Task<Status> Behave(std::string_view what) {
    if (behaviour.delay_ns) co_await env_->Sleep(behaviour.delay_ns(what));
    if (behaviour.fail) co_return behaviour.fail(what);
    co_return OkStatus();
  }

  Env* env_;
  HeapBufferPool buffers_;
  std::map<std::string, std::shared_ptr<MemoryVolume>> volumes_;
};

}  // namespace atl
