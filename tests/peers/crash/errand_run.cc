// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/errand_run.h"

#include <utility>

namespace atl {
namespace {

WitnessBox::Ends MakeBox() {
  auto ends = WitnessBox::Make();
  CHECK(ends.ok()) << ends.status().ToString();
  return *std::move(ends);
}

}  // namespace

ErrandRun::ErrandRun(RealEnv* env, std::string root, FaultInjector* injector)
    : env_(env), root_(std::move(root)), injector_(injector), ends_(MakeBox()) {}

// With so few open files that those with unsynced writes have to be closed.
Status ErrandRun::Open() {
  if (store_) return {};
  ASSIGN_OR_RETURN(WitnessBox::Ends ends, WitnessBox::Duplicate(ends_.put.get(), ends_.take.get()));
  ASSIGN_OR_RETURN(witnesses_, WitnessBox::Open(std::move(ends)));
  ASSIGN_OR_RETURN(store_, FileStore::Open(env_->executor(), {.path = root_,
                                                              .create = true,
                                                              .reserve_bytes = 2 * kMiB,
                                                              .max_open_files = 1,
                                                              .witnesses = witnesses_.get(),
                                                              .sums = sums_}));
  return {};
}

void ErrandRun::Close() {
  if (store_) env_->Run(store_->Close());
  store_.reset();
}

std::string ErrandRun::Do(const std::string& name, const std::function<Status()>& act) {
  Status status = act();
  if (status.ok()) return {};
  heard_ = status;
  if (status.code() == Code::kInternal || !injector_->fired()) {
    return name + ": " + status.ToString();
  }
  outcome_ = FaultOutcome::kError;
  status = act();
  if (status.ok()) return {};
  outcome_ = FaultOutcome::kNewLife;
  Close();
  ends_ = MakeBox();  // Of the whole node: it knows nothing of failed syncs any more.
  status = Open();
  if (status.ok()) status = act();
  return status.ok() ? std::string() : name + ", in a new life: " + status.ToString();
}

std::string ErrandRun::Play() {
  std::string wrong = Do("open", [this] { return Open(); });
  for (const Errand& errand : Errands(env_, root_)) {
    if (errand.in_new_life && wrong.empty()) {
      Close();
      wrong = Do("open again", [this] { return Open(); });
    }
    if (!wrong.empty()) return wrong;
    wrong = Do(errand.name, [&] { return errand.act(*store_); });
  }
  Close();
  // Not without checksums, while there are some.
  sums_ = false;
  const auto refused = [this]() -> Status {
    const Status status = Open();
    if (status.ok()) return {Code::kInternal, "WRONG: it was opened without checksums"};
    return status.code() == Code::kInvalid ? OkStatus() : status;
  };
  if (wrong.empty()) wrong = Do("open without checksums", refused);
  Close();
  if (outcome_ == FaultOutcome::kNotReached && injector_->fired()) outcome_ = FaultOutcome::kUnseen;
  return wrong;
}

}  // namespace atl
