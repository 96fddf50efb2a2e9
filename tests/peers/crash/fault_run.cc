// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/fault_run.h"

#include <algorithm>

#include "tests/peers/volumes/node_harness.h"

namespace atl {
namespace {

// So many steps follow the one in which the fault has come.
constexpr int kStepsAfter = 1;

std::string Wrong(const std::string& what, const Status& status) {
  return status.ok() ? std::string() : what + ": " + status.ToString();
}

// What an administrator does who has read why it is read-only. `mended`: there was something.
Status Mend(Player& player, bool* mended) {
  ASSIGN_OR_RETURN(const ResourcePage page, player.env()->Run(player.atoll().List({})));
  for (const ResourceInfo& item : page.items) {
    if (item.read_only_reason.empty()) continue;
    *mended = true;
    const ResourceRef ref = ResourceRef::Named(item.name);
    RETURN_IF_ERROR(player.env()->Run(player.atoll().Acquire(ref)));
    RETURN_IF_ERROR(player.env()->Run(player.atoll().Release(ref)));
  }
  return {};
}

}  // namespace

const char* NameOf(FaultOutcome outcome) {
  static constexpr const char* kNames[] = {"-", "unseen", "error", "read-only", "new life"};
  return kNames[static_cast<size_t>(outcome)];
}

Status FaultRun::Look(Oracle::Crash crash) {
  if (!player_.is_up()) return {};
  return known_.Settle(env_, &player_.atoll(), crash);
}

std::string FaultRun::BeginNewLife() {
  if (player_.is_up()) (void)player_.Stop();
  known_.lives.push_back(env_->NewUuid());
  std::string wrong = Wrong("start without the fault", player_.Start(known_));
  // Once more: the second fault may hit the opening of what the first has made read-only.
  bool mended = false;
  if (wrong.empty() && !Mend(player_, &mended).ok())
    wrong = Wrong("mending", Mend(player_, &mended));
  // A sync that has failed may have lost what was not durable.
  const auto crash = mended ? Oracle::Crash::kPowerLoss : Oracle::Crash::kDeath;
  return wrong.empty() ? Wrong("looking in a new life", Look(crash)) : wrong;
}

// `act` has failed: what does it take for it to succeed?
std::string FaultRun::Again(const Step& step, const std::function<Status()>& act) {
  if (!injector_->fired()) return Wrong(step.name + ", though nothing failed", heard_);
  outcome_ = std::max(outcome_, FaultOutcome::kError);
  Status status = act();
  if (status.ok()) return {};
  outcome_ = std::max(outcome_, status.code() == Code::kReadOnly ? FaultOutcome::kReadOnly
                                                                 : FaultOutcome::kNewLife);
  std::string wrong = BeginNewLife();
  if (!wrong.empty()) return wrong;
  step.begin(known_);  // What has become of the first try is known by now.
  return Wrong(step.name + " in a new life", act());
}

std::string FaultRun::Part(const Step& step, const std::function<Status()>& act) {
  const Status status = act();
  if (status.ok()) return {};
  if (status.code() == Known::kWrong) return Wrong("after " + step.name, status);
  heard_ = status;
  return Again(step, act);
}

std::string FaultRun::PlaySteps(bool to_the_end) {
  int after = 0;
  for (const Step& step : Story(env_)) {
    step.begin(known_);
    std::string wrong = Part(step, [&] { return step.act(player_, known_); });
    if (!wrong.empty()) return wrong;
    step.end(known_);
    const Step looking{.name = "looking after " + step.name, .begin = [](Known&) {}};
    wrong = Part(looking, [this] { return Look(Oracle::Crash::kNone); });
    if (!wrong.empty()) return wrong;
    if (injector_->fired() && !to_the_end && ++after > kStepsAfter) break;
  }
  if (injector_->fired()) outcome_ = std::max(outcome_, FaultOutcome::kUnseen);
  return End();
}

// Whatever has been, a node that starts now shows everything and keeps nothing else.
std::string FaultRun::End() {
  std::string wrong;
  if (player_.is_up()) {
    const Status stopped = player_.Stop();
    if (!stopped.ok() && !injector_->fired()) return Wrong("stop", stopped);
  }
  wrong = BeginNewLife();
  if (!wrong.empty()) return wrong;
  HandsIn<RealEnv> hands(env_, &player_.atoll());
  // A second fault may come here.
  const bool expected = injector_->waits_for_second();
  Status collected = hands.Collect().status();
  if (!collected.ok() && expected && !injector_->waits_for_second()) {
    collected = hands.Collect().status();
  }
  wrong = Wrong("garbage collection", collected);
  if (wrong.empty()) wrong = Wrong("at the end", Look(Oracle::Crash::kNone));
  if (wrong.empty()) wrong = Wrong("stop at the end", player_.Stop());
  return wrong;
}

}  // namespace atl
