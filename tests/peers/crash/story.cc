// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/story.h"

#include <memory>
#include <optional>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

using FileHands = HandsIn<RealEnv>;
using Mark = Oracle::Mark;
using Kind = Oracle::Kind;

constexpr int kVisits = 6;  // One more than journals that a close leaves unfolded, and one.

ResourceRef Ref(const std::string& name) { return ResourceRef::Named(name); }

Status OkIfGone(const Status& status) {
  return status.code() == Code::kNotFound ? OkStatus() : status;
}

// --- Requests to a volume ------------------------------------------------------------------------

struct VolumeRequest {
  enum class Kind : uint8_t { kWrite, kDiscard, kZeroes, kFlush };
  Kind kind;
  ByteRange range = {};
  Mark mark = 0;
  bool fua = false;
};

Task<Status> Perform(Device* device, VolumeRequest request) {
  const DeviceWriteOptions options{.fua = request.fua};
  switch (request.kind) {
    case VolumeRequest::Kind::kWrite: {
      const Bytes data = Oracle::Fill(request.mark, request.range.length);
      if (device->TryWrite(request.range.offset, data, options)) co_return OkStatus();
      co_return co_await device->Write(request.range.offset, data, options);
    }
    case VolumeRequest::Kind::kDiscard:
      co_return co_await device->Discard(request.range, options);
    case VolumeRequest::Kind::kZeroes: {
      const DeviceZeroOptions zeroes{.fua = request.fua, .no_hole = true};
      co_return co_await device->WriteZeroes(request.range, zeroes);
    }
    case VolumeRequest::Kind::kFlush:
      co_return co_await device->Flush();
  }
}

Task<Status> PerformAll(LocalAtoll* atoll, std::string name, std::vector<VolumeRequest> requests) {
  const ResourceRef ref = Ref(name);
  CO_ASSIGN_OR_RETURN(const auto device, co_await atoll->Open(ref, OpenMode::kReadWrite));
  Status status;
  for (const VolumeRequest& request : requests) {
    if (status.ok()) status = co_await Perform(device.get(), request);
  }
  co_await device->Close();
  co_return status;
}

Step Io(std::string step, std::string volume, VolumeRequest request) {
  const bool flushes = request.kind == VolumeRequest::Kind::kFlush;
  const Kind kind = request.kind == VolumeRequest::Kind::kWrite ? Kind::kWrite : Kind::kZero;
  return {.name = step + " " + volume,
          .begin =
              [=](Known& known) {
                if (!flushes) known.At(volume).Submit(request.range, request.mark, kind);
              },
          .act =
              [=](Player& player, const Known&) {
                return player.env()->Run(PerformAll(&player.atoll(), volume, {request}));
              },
          .end =
              [=](Known& known) {
                Oracle& oracle = known.At(volume);
                if (flushes) return oracle.Flush();
                oracle.Acknowledge(request.range, request.mark, request.fua);
              }};
}

// --- Operations ----------------------------------------------------------------------------------

// `operate` with hands.
template <typename Operate>
std::function<Status(Player&, const Known&)> ByHand(Operate operate) {
  return [operate](Player& player, const Known&) {
    FileHands hands(player.env(), &player.atoll());
    return operate(hands, player);
  };
}

// `name` appears, and reads as `content` makes of what is known.
Step Appears(std::string step, std::string name, std::function<Oracle(Known&)> content,
             std::function<Status(Player&, const Known&)> act,
             std::function<void(Known&)> also = {}) {
  return {.name = std::move(step),
          .begin = [=](Known& known) { known.names[name] = {{content(known)}, false}; },
          .act = std::move(act),
          .end =
              [=](Known& known) {
                if (also) also(known);
                known.Is(name, content(known));
              }};
}

Step Create(const std::string& name, uint64_t size, const std::string& id) {
  const auto empty = [size](Known&) {
    Oracle oracle;
    oracle.Resize(size);
    return oracle;
  };
  return Appears("create " + name, name, empty, ByHand([=](FileHands& hands, Player& player) {
                   return hands.Create(name, size, player.IdOf(id)).status();
                 }));
}

Oracle Flushed(Oracle oracle) {
  oracle.Flush();
  return oracle;
}

Step Snapshot(const std::string& volume, const std::string& name) {
  return Appears(
      "snapshot " + name, name, [=](Known& known) { return Flushed(known.At(volume)); },
      ByHand([=](FileHands& hands, Player& player) {
        return hands.Snap(volume, name, player.IdOf(name)).status();
      }),
      [=](Known& known) { known.At(volume).Flush(); });
}

Step Clone(const std::string& snapshot, const std::string& name) {
  return Appears(
      "clone " + name, name, [=](Known& known) { return known.At(snapshot); },
      ByHand([=](FileHands& hands, Player& player) {
        return hands.Clone(name, snapshot, 0, player.IdOf(name)).status();
      }));
}

Step Rollback(const std::string& volume, const std::string& snapshot) {
  return {
      .name = "rollback " + volume + " to " + snapshot,
      .begin = [=](Known& known) { known.Or(volume, known.At(snapshot)); },
      .act = ByHand([=](FileHands& hands, Player&) { return hands.Rollback(volume, snapshot); }),
      .end = [=](Known& known) { known.Is(volume, known.At(snapshot)); }};
}

// What is cut may read as zeros before it is cut.
Step Resize(const std::string& volume, uint64_t size, Mark mark) {
  return {.name = "resize " + volume,
          .begin =
              [=](Known& known) {
                Oracle& before = known.At(volume);
                Oracle after = before;
                after.Resize(size);
                if (size < before.size()) {
                  before.Submit({size, before.size() - size}, mark, Kind::kZero);
                }
                known.Or(volume, std::move(after));
              },
          .act = ByHand([=](FileHands& hands, Player&) { return hands.Resize(volume, size); }),
          .end =
              [=](Known& known) {
                auto& resource = known.names.at(volume);
                Oracle after = resource.either.back();
                after.Resize(size);
                // A pin has flushed.
                known.Is(volume, std::move(after));
              }};
}

Step Rename(const std::string& from, const std::string& to) {
  return {
      .name = "rename " + from + " to " + to,
      .begin =
          [=](Known& known) {
            if (!known.Has(from)) return;  // Again, after it was done.
            known.names[to] = known.names[from];
            known.names[from].must = known.names[to].must = false;
            known.one_of = {from, to};
          },
      .act = ByHand([=](FileHands& hands, Player&) { return OkIfGone(hands.Rename(from, to)); }),
      .end =
          [=](Known& known) {
            known.names.erase(from);
            known.names[to].must = true;
            known.one_of.clear();
          }};
}

Step Remove(const std::string& name) {
  return {.name = "remove " + name,
          .begin =
              [=](Known& known) {
                if (known.Has(name)) known.names[name].must = false;
              },
          .act = ByHand([=](FileHands& hands, Player&) { return OkIfGone(hands.Remove(name)); }),
          .end = [=](Known& known) { known.names.erase(name); }};
}

Step Collect() {
  return {.name = "collect garbage",
          .begin = [](Known&) {},
          .act = ByHand([](FileHands& hands, Player&) { return hands.Collect().status(); }),
          .end = [](Known&) {}};
}

// Each visit leaves a journal to the replay list, until a close folds them.
Step Fold(const std::string& volume, Mark mark) {
  const auto request = [mark](int visit) {
    return VolumeRequest{.kind = VolumeRequest::Kind::kWrite,
                         .range = {static_cast<uint64_t>(visit) * 6 * kKiB, 5 * kKiB},
                         .mark = mark + static_cast<Mark>(visit)};
  };
  const auto for_each = [request](const std::function<void(const VolumeRequest&)>& visit) {
    for (int i = 0; i < kVisits; ++i) visit(request(i));
  };
  return {.name = "fold " + volume,
          .begin =
              [=](Known& known) {
                for_each([&](const VolumeRequest& r) {
                  known.At(volume).Submit(r.range, r.mark, Kind::kWrite);
                });
              },
          .act = [=](Player& player, const Known&) -> Status {
            for (int i = 0; i < kVisits; ++i) {
              const std::vector<VolumeRequest> requests{request(i)};
              RETURN_IF_ERROR(player.env()->Run(PerformAll(&player.atoll(), volume, requests)));
              RETURN_IF_ERROR(player.env()->Run(player.atoll().Release(Ref(volume))));
            }
            return {};
          },
          .end =
              [=](Known& known) {
                for_each([&](const VolumeRequest& r) {
                  known.At(volume).Acknowledge(r.range, r.mark, true);
                });
              }};
}

// A life that was killed is followed by one; else an orderly end of what there was comes first, by
// which those that were `open` are flushed.
Step NewLife(RealEnv* env, std::string name, bool kills,
             const std::vector<std::string>& open = {}) {
  return {.name = std::move(name),
          .begin = [=](Known& known) { known.lives.push_back(env->NewUuid()); },
          .act = [](Player& player, const Known& known) -> Status {
            if (player.is_up()) RETURN_IF_ERROR(player.Stop());
            return player.Start(known);
          },
          .end =
              [=](Known& known) {
                for (const std::string& volume : open) known.At(volume).Flush();
              },
          .kills = kills};
}

}  // namespace

Uuid Player::IdOf(const std::string& name) const {
  Uuid id = ids_;
  for (size_t i = 0; i < name.size(); ++i) id.bytes[i % 4] ^= static_cast<uint8_t>(name[i]);
  return id;
}

Status Player::Start(const Known& known) {
  options_.incarnation = known.lives.back();
  const std::span<const Uuid> before(known.lives.data(), known.lives.size() - 1);
  ASSIGN_OR_RETURN(node_, FileNode::Start(env_, options_, before));
  return {};
}

Status Player::Stop() {
  const Status status = node_->Stop();
  node_.reset();
  return status;
}

void Player::Kill(const std::function<void(bool)>& hold) {
  hold(true);
  (void)Stop();
  hold(false);
}

std::vector<Step> Story(RealEnv* env) {
  using Do = VolumeRequest::Kind;
  constexpr uint64_t kSize = 256 * kKiB;
  return {
      NewLife(env, "make the store", false),
      Create("v", kSize, "v"),
      Io("write", "v", {.kind = Do::kWrite, .range = {0, 48 * kKiB}, .mark = 10}),
      Io("flush", "v", {.kind = Do::kFlush}),
      Io("overwrite", "v", {.kind = Do::kWrite, .range = {8'704, 5 * kKiB}, .mark = 11}),
      Io("write through", "v",
         {.kind = Do::kWrite, .range = {128 * kKiB, 8 * kKiB}, .mark = 12, .fua = true}),
      Io("discard", "v", {.kind = Do::kDiscard, .range = {15 * kKiB, 18 * kKiB}, .mark = 13}),
      Snapshot("v", "s"),
      Io("write a part", "v", {.kind = Do::kWrite, .range = {4'608, 2 * kKiB}, .mark = 14}),
      Io("write much", "v", {.kind = Do::kWrite, .range = {60 * kKiB, 132 * kKiB}, .mark = 15}),
      Io("overwrite through", "v",
         {.kind = Do::kWrite, .range = {62 * kKiB, 6 * kKiB}, .mark = 16, .fua = true}),
      Io("zero", "v", {.kind = Do::kZeroes, .range = {126 * kKiB, 12 * kKiB}, .mark = 17}),
      Clone("s", "c"),
      Io("write", "c", {.kind = Do::kWrite, .range = {512, 9 * kKiB}, .mark = 18}),
      Snapshot("v", "t"),
      Io("write", "v", {.kind = Do::kWrite, .range = {30 * kKiB, 7 * kKiB}, .mark = 19}),
      NewLife(env, "start again after a kill", true),
      Io("write", "v", {.kind = Do::kWrite, .range = {33 * kKiB, 7 * kKiB}, .mark = 20}),
      Io("flush", "v", {.kind = Do::kFlush}),
      Rollback("v", "s"),
      Io("write", "v", {.kind = Do::kWrite, .range = {100 * kKiB, kKiB}, .mark = 21}),
      Resize("v", 2 * kSize, 22),
      Io("write", "v", {.kind = Do::kWrite, .range = {kSize - kKiB, 6 * kKiB}, .mark = 23}),
      Resize("v", 5 * kKiB, 24),
      Resize("v", kSize, 25),
      Rename("v", "w"),
      Create("v", kSize, "another v"),
      Fold("w", 30),
      NewLife(env, "start again", false, {"w"}),
      Io("write", "w", {.kind = Do::kWrite, .range = {9 * kKiB, 9 * kKiB}, .mark = 40}),
      Remove("s"),
      Collect(),
      Remove("w"),
      Remove("t"),
      Collect(),
  };
}

}  // namespace atl
