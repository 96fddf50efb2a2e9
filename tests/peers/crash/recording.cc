// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/recording.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

// Of the calls before a crash, so many are told.
constexpr size_t kToldOps = 30;

// What is done after a crash is not looked at, so that nothing need wait for a disk.
class WithoutSyncs final : public sys::Watcher {
 public:
  std::optional<int64_t> Before(sys::Call& call) override {
    if (call.op == sys::Op::kSync) return 0;
    return std::nullopt;
  }
  void After(const sys::Call&, int64_t) override {}
};

std::string Wrong(const std::string& what, const Status& status) {
  return status.ok() ? std::string() : what + ": " + status.ToString();
}

// What nobody has a use for goes, and nothing else.
std::string Collect(Player& player) {
  HandsIn<RealEnv> hands(player.env(), &player.atoll());
  const auto collected = hands.Collect();
  return Wrong("garbage collection", collected.status());
}

std::string CheckNothingIsLeft(Player& player) {
  HandsIn<RealEnv> hands(player.env(), &player.atoll());
  const auto left = hands.Collect(true);
  if (!left.ok()) return Wrong("garbage collection", left.status());
  if (left->items.empty() && left->leftovers == 0) return {};
  const std::string first = left->items.empty() ? "leftovers" : left->items.front();
  return fmt::format("garbage collection leaves {} blobs, {} logs, {} records, {} leftovers: {}",
                     left->blobs, left->logs, left->records, left->leftovers, first);
}

}  // namespace

Recording::Recording(RealEnv* env, const std::string& folder)
    : env_(env), ids_(env->NewUuid()), story_(Story(env)) {
  const std::string root = folder + "/recorded";
  CHECK(std::filesystem::create_directory(root));
  Recorder recorder(root);
  const sys::Watch watch(&recorder);
  Player player(env, {.path = root, .create = true}, ids_);
  Known known;
  for (size_t i = 0; i < story_.size() && failure_.empty(); ++i) {
    const Step& step = story_[i];
    if (step.kills) player.Kill([&](bool held) { recorder.Hold(held); });
    step.begin(known);
    moments_.push_back({recorder.clock(), i, known});
    failure_ = Wrong(step.name, step.act(player, known));
    step.end(known);
  }
  moments_.push_back({recorder.clock(), story_.size(), known});
  if (player.is_up()) (void)player.Stop();
  ops_ = recorder.ops();
}

size_t Recording::LeaveOutSyncsOf(std::string_view function) {
  return std::erase_if(ops_, [&](const DiskOp& op) {
    return op.kind == DiskOp::Kind::kSync &&
           std::string_view(op.site.function_name()).find(function) != std::string_view::npos;
  });
}

const Recording::Moment& Recording::MomentOf(uint64_t clock) const {
  const auto after = std::ranges::upper_bound(moments_, clock, {}, &Moment::clock);
  CHECK(after != moments_.begin());
  return *(after - 1);
}

size_t Recording::StepOf(const Crash& crash) const { return MomentOf(crash.clock).step; }

DiskImage Recording::ImageOf(const Crash& crash) const {
  return {ops_, crash.clock, crash.lost, crash.seed};
}

// The step is asked for again, and ends well.
std::string Recording::GoOn(Player& player, const Step& step, Known* known) const {
  step.begin(*known);
  std::string wrong = Wrong("again", step.act(player, *known));
  if (!wrong.empty()) return wrong;
  step.end(*known);
  return Wrong("afterwards", known->Settle(env_, &player.atoll(), Oracle::Crash::kDeath));
}

std::string Recording::Recover(const Crash& crash, const std::string& root) const {
  const Moment& moment = MomentOf(crash.clock);
  WithoutSyncs without_syncs;
  const sys::Watch watch(&without_syncs);
  const bool making = moment.step == 0;
  Player player(env_, {.path = root, .create = making, .rebooted = crash.power}, ids_);
  Known known = moment.known;
  const auto start = [&] {
    known.lives.push_back(env_->NewUuid());
    return Wrong("start", player.Start(known));
  };
  const auto settle = [&](Oracle::Crash kind) {
    return Wrong("looking", known.Settle(env_, &player.atoll(), kind));
  };
  std::string wrong = start();
  if (wrong.empty())
    wrong = settle(crash.power ? Oracle::Crash::kPowerLoss : Oracle::Crash::kDeath);
  if (wrong.empty()) wrong = Collect(player);
  if (wrong.empty()) wrong = settle(Oracle::Crash::kDeath);
  if (wrong.empty() && moment.step < story_.size()) {
    wrong = GoOn(player, story_[moment.step], &known);
  }
  if (wrong.empty()) wrong = Wrong("stop", player.Stop());
  if (wrong.empty()) wrong = start();
  if (wrong.empty()) wrong = settle(Oracle::Crash::kDeath);
  if (wrong.empty()) wrong = Collect(player);
  if (wrong.empty()) wrong = CheckNothingIsLeft(player);
  if (player.is_up()) (void)player.Stop();
  return wrong;
}

std::string Recording::Describe(const Crash& crash) const {
  static constexpr const char* kLost[] = {"nothing", "all that is unsynced", "some of it"};
  const size_t step = StepOf(crash);
  std::string text = fmt::format("in '{}', at {}, by {}; lost: {}, seed {}\nthe last calls:\n",
                                 step < story_.size() ? story_[step].name : "the end", crash.clock,
                                 crash.power ? "power loss" : "death",
                                 kLost[static_cast<size_t>(crash.lost)], crash.seed);
  const auto end = std::ranges::upper_bound(ops_, crash.clock, {}, &DiskOp::ended);
  const auto begin = end - std::min<ptrdiff_t>(kToldOps, end - ops_.begin());
  for (auto op = begin; op != end; ++op) text += "  " + atl::Describe(*op) + "\n";
  return text + "what was left:\n" + ImageOf(crash).ToString();
}

}  // namespace atl
