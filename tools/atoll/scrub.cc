// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <optional>
#include <utility>

#include "tools/atoll/findings_output.h"
#include "tools/atoll/interrupt.h"
#include "tools/atoll/progress.h"
#include "tools/atoll/size.h"
#include "tools/atoll/verbs.h"

namespace atl {
namespace {

constexpr int64_t kLookInterval = 100 * kMillisecond;

void Show(Context& context, const ScrubStatus& status) {
  if (context.format() == Format::kJson) {
    Json json{{"state", ToString(status.state)},
              {"resource", status.resource},
              {"rate", status.rate},
              {"done_bytes", status.done_bytes},
              {"total_bytes", status.total_bytes},
              {"started_ns", status.started_ns},
              {"ended_ns", status.ended_ns}};
    json["report"] = JsonOf(status.report);
    Print(JsonText(json));
    return;
  }
  if (status.state == ScrubState::kNever) {
    Print("scrub: none since the node was started\n");
    return;
  }
  Print(TextOf(status.report));
  Print(fmt::format("scrub of {}: {}, {} of {} of data read, at most {}/s\n",
                    status.resource.empty() ? "everything" : status.resource,
                    ToString(status.state), HumanSize(status.done_bytes),
                    HumanSize(status.total_bytes), HumanSize(status.rate)));
}

// Until it has ended, or somebody interrupts the watching.
Task<Result<ScrubStatus>> Watch(Context& context, ScrubStatus status) {
  const InterruptGuard guard;
  std::optional<Progress> bar;
  uint64_t shown = 0;
  const int64_t started_ns = status.started_ns;
  while (status.state == ScrubState::kRunning && status.started_ns == started_ns) {
    if (InterruptGuard::interrupted()) break;
    if (!bar && status.total_bytes > 0) bar.emplace("scrub", status.total_bytes);
    if (bar) bar->Advance(status.done_bytes - std::exchange(shown, status.done_bytes));
    co_await context.executor().Sleep(kLookInterval);
    const ScrubSpec look;
    CO_ASSIGN_OR_RETURN(status, co_await context.node().Scrub(look));
  }
  co_return status;
}

Task<Status> Start(Context& context) {
  ScrubSpec spec{.action = ScrubAction::kStart};
  if (context.Has("NAME")) {
    CO_ASSIGN_OR_RETURN(spec.only, ParseRef(context.Value("NAME")));
  }
  if (context.Has("rate")) {
    const auto rate = ParseSize(context.Value("rate"));
    if (!rate.ok()) co_return context.WrongUsage(rate.status().With("--rate"));
    spec.rate = *rate;
  }
  CO_ASSIGN_OR_RETURN(ScrubStatus status, co_await context.node().Scrub(std::move(spec)));
  if (!context.Flag("detach")) {
    CO_ASSIGN_OR_RETURN(status, co_await Watch(context, std::move(status)));
  }
  Show(context, status);
  if (status.state == ScrubState::kCancelled)
    co_return Status(Code::kCancelled, "it was cancelled");
  co_return StatusOf(status.report);
}

}  // namespace

Task<Status> ScrubResources(Context& context) {
  const bool looks = context.Flag("status"), cancels = context.Flag("cancel");
  if (looks || cancels) {
    if (looks && cancels) {
      co_return context.WrongUsage(Status(Code::kInvalid, "--status or --cancel, not both"));
    }
    const ScrubSpec spec{.action = cancels ? ScrubAction::kCancel : ScrubAction::kStatus};
    const auto status = co_await context.node().Scrub(spec);
    if (!status.ok()) co_return status.status().With("scrub");
    Show(context, *status);
    co_return cancels ? Status() : StatusOf(status->report).With("scrub");
  }
  co_return (co_await Start(context)).With("scrub");
}

}  // namespace atl
