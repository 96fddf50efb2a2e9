// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <utility>

#include "tools/atoll/findings_output.h"
#include "tools/atoll/verbs.h"

namespace atl {

Task<Status> CheckResources(Context& context) {
  CheckSpec spec;
  spec.repair = context.Flag("repair");
  if (context.Has("NAME")) {
    CO_ASSIGN_OR_RETURN(spec.only, ParseRef(context.Value("NAME")));
  }
  const auto report = co_await context.node().Check(std::move(spec));
  if (!report.ok()) co_return report.status().With("check");
  Print(context.format() == Format::kJson ? JsonText(JsonOf(*report)) : TextOf(*report));
  co_return StatusOf(*report).With("check");
}

}  // namespace atl
