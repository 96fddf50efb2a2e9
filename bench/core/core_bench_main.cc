// SPDX-License-Identifier: Apache-2.0
//
// What operations on volumes cost, on the file driver in one process:
//
//   core_bench FOLDER ops            snapshot, clone, remove and open of 1 GiB and of 64 TiB
//   core_bench FOLDER chain          500 snapshots: read speed, open time, every one read back
//   core_bench FOLDER amplification  bytes stored for 10,000 random 4 KiB writes after a snapshot
//   core_bench FOLDER open           100,000 random writes in 1 TiB: open time, size of the map
//
// FOLDER is made, used and removed. Times are medians; sizes are the file system's own counts.
#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include "bench/core/areas.h"

namespace atl::core_bench {
namespace {

namespace po = boost::program_options;

struct Arguments {
  std::string folder, area;
  OpsOptions ops;
};

po::options_description Describe(Arguments* arguments) {
  po::options_description options("core_bench FOLDER ops|chain|amplification|open");
  auto add = options.add_options();
  add("help", "this text");
  add("folder", po::value(&arguments->folder)->required(), "is made, used and removed");
  add("area", po::value(&arguments->area)->required(), "what is measured");
  add("rounds", po::value(&arguments->ops.rounds)->default_value(41), "of ops");
  add("json", po::bool_switch(&arguments->ops.json), "ops prints its medians as JSON");
  return options;
}

Status Check(const Arguments& arguments) {
  const std::string& area = arguments.area;
  if (area != "ops" && area != "chain" && area != "amplification" && area != "open") {
    return {Code::kInvalid, "there is no area '" + area + "'; see --help"};
  }
  if (arguments.ops.json && area != "ops") return {Code::kInvalid, "--json is for ops"};
  if (arguments.ops.rounds < 1) return {Code::kInvalid, "--rounds must be 1 or more"};
  if (std::filesystem::exists(arguments.folder)) {
    return {Code::kInvalid, arguments.folder + " exists"};
  }
  return {};
}

Task<int> Measure(Bench* bench, const Arguments* arguments) {
  const std::string& area = arguments->area;
  if (area == "ops") co_await RunOps(bench, arguments->ops);
  if (area == "chain") co_await RunChain(bench);
  if (area == "amplification") co_await RunAmplification(bench, arguments->folder);
  if (area == "open") co_await RunOpen(bench);
  (void)co_await bench->atoll->Shutdown();
  co_await bench->stores.at(0).Close();
  co_return 0;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  const po::options_description options = Describe(&arguments);
  try {
    po::positional_options_description places;
    places.add("folder", 1).add("area", 1);
    po::variables_map values;
    po::store(po::command_line_parser(argc, argv).options(options).positional(places).run(),
              values);
    if (values.contains("help")) {
      std::cout << options;
      return 0;
    }
    po::notify(values);
  } catch (const std::exception& error) {
    fmt::print(stderr, "core_bench: {}\n", error.what());
    return 2;
  }
  if (const Status status = Check(arguments); !status.ok()) {
    fmt::print(stderr, "core_bench: {}\n", status.ToString());
    return 2;
  }
  int code;
  {
    Bench bench(arguments.folder, arguments.area == "ops");
    code = bench.executor.RunUntilDone(Measure(&bench, &arguments));
  }
  std::filesystem::remove_all(arguments.folder);
  return code;
}

}  // namespace
}  // namespace atl::core_bench

int main(int argc, char** argv) { return atl::core_bench::Main(argc, argv); }
