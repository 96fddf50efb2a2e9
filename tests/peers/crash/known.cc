// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/known.h"

#include <algorithm>

namespace atl {
namespace {

Task<Result<Bytes>> ReadAll(LocalAtoll* atoll, std::string name) {
  const ResourceRef ref = ResourceRef::Named(name);
  CO_ASSIGN_OR_RETURN(const auto device, co_await atoll->Open(ref, OpenMode::kReadOnly));
  Bytes bytes(device->info().size);
  Status status;
  if (!device->TryRead(0, bytes)) status = co_await device->Read(0, bytes);
  co_await device->Close();
  CO_RETURN_IF_ERROR(status);
  co_return bytes;
}

Status Wrong(std::string what) { return {Known::kWrong, std::move(what)}; }

}  // namespace

Oracle& Known::At(const std::string& name) {
  Resource& resource = names.at(name);
  CHECK(resource.either.size() == 1) << name;
  return resource.either.front();
}

Status Known::SettleOne(RealEnv* env, LocalAtoll* atoll, Oracle::Crash crash,
                        const std::string& name) {
  Resource& resource = names.at(name);
  ASSIGN_OR_RETURN(const Bytes bytes, env->Run(ReadAll(atoll, name)));
  std::string wrong;
  for (const Oracle& oracle : resource.either) {
    if (oracle.size() != bytes.size()) {
      wrong += "; its size is " + std::to_string(bytes.size());
      continue;
    }
    Oracle settled = oracle;
    const std::string why = settled.Settle(bytes, crash, name);
    if (why.empty()) {
      Is(name, std::move(settled));
      return {};
    }
    wrong += "; " + why;
  }
  return Wrong(name + " is nothing that it may be" + wrong);
}

Status Known::Settle(RealEnv* env, LocalAtoll* atoll, Oracle::Crash crash) {
  std::vector<std::string> there;
  // Whoever opens a volume finishes what was begun with it, and more is there than before.
  for (size_t looked = 0;;) {
    ASSIGN_OR_RETURN(const ResourcePage page, env->Run(atoll->List({})));
    there.clear();
    for (const ResourceInfo& item : page.items) {
      if (!Has(item.name)) return Wrong(item.name + " is there, and should not be");
      if (!item.read_only_reason.empty()) {
        return {Code::kReadOnly, item.name + ": " + item.read_only_reason};
      }
      there.push_back(item.name);
    }
    if (there.size() == looked) break;
    for (const std::string& name : there) {
      RETURN_IF_ERROR(SettleOne(env, atoll, crash, name));
    }
    looked = there.size();
  }
  const auto is_there = [&](const std::string& name) {
    return std::ranges::find(there, name) != there.end();
  };
  if (!one_of.empty() && std::ranges::count_if(one_of, is_there) != 1) {
    return Wrong("of " + one_of[0] + " and " + one_of[1] + " not exactly one is there");
  }
  for (const auto& [name, resource] : names) {
    if (resource.must && !is_there(name)) return Wrong(name + " is gone");
  }
  std::erase_if(names, [&](const auto& item) { return !is_there(item.first); });
  one_of.clear();
  for (auto& [name, resource] : names) resource.must = true;
  return {};
}

}  // namespace atl
