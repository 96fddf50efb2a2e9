// SPDX-License-Identifier: Apache-2.0
//
//   nbdblast --socket PATH [--export NAME] [OPTIONS]: prints what it has measured as JSON.
#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/nbdblast/blast.h"

namespace atl::nbdblast {
namespace {

namespace po = boost::program_options;

struct Arguments {
  std::string socket, name, mode = "randread";
  double seconds = 2, ramp_seconds = 0;
  Load load;
};

po::options_description Describe(Arguments* arguments) {
  po::options_description options("nbdblast: load for an NBD server from one connection");
  auto add = options.add_options();
  add("help", "this text");
  add("socket", po::value(&arguments->socket)->required(), "the server's Unix socket");
  add("export", po::value(&arguments->name), "the export's name");
  add("mode", po::value(&arguments->mode)->default_value("randread"),
      "randread, randwrite, read or write");
  add("block", po::value(&arguments->load.block)->default_value(4096), "bytes of a request");
  add("depth", po::value(&arguments->load.depth)->default_value(32), "requests in flight");
  add("span", po::value(&arguments->load.span), "only so many bytes of the export");
  add("fua", po::bool_switch(&arguments->load.fua), "each write is durable");
  add("flush-every", po::value(&arguments->load.flush_every), "a flush after so many requests");
  add("seconds", po::value(&arguments->seconds)->default_value(2, "2"), "how long it counts");
  add("ramp", po::value(&arguments->ramp_seconds)->default_value(0, "0"),
      "how long it runs before");
  add("requests", po::value(&arguments->load.requests), "ends after so many");
  add("seed", po::value(&arguments->load.seed)->default_value(1), "of the offsets");
  return options;
}

Status ReadMode(Arguments* arguments) {
  const std::string& mode = arguments->mode;
  if (mode != "randread" && mode != "randwrite" && mode != "read" && mode != "write") {
    return {Code::kInvalid, "no mode '" + mode + "'; see --help"};
  }
  arguments->load.writes = mode.ends_with("write");
  arguments->load.pattern = mode.starts_with("rand") ? Pattern::kRandom : Pattern::kSequential;
  arguments->load.duration_ns = static_cast<int64_t>(arguments->seconds * kSecond);
  arguments->load.ramp_ns = static_cast<int64_t>(arguments->ramp_seconds * kSecond);
  return {};
}

void Print(const Outcome& outcome) {
  const double seconds = static_cast<double>(outcome.took_ns) / kSecond;
  const LatencySnapshot& latency = outcome.latency;
  const auto mean_ns = latency.count == 0 ? 0 : latency.sum_ns / latency.count;
  const nlohmann::json out = {{"requests", outcome.requests},
                              {"flushes", outcome.flushes},
                              {"errors", outcome.errors},
                              {"seconds", seconds},
                              {"iops", static_cast<double>(outcome.requests) / seconds},
                              {"bytes_per_second", static_cast<double>(outcome.bytes) / seconds},
                              {"sends", outcome.sends},
                              {"latency_ns",
                               {{"mean", mean_ns},
                                {"p50", latency.PercentileNs(0.5)},
                                {"p99", latency.PercentileNs(0.99)},
                                {"max", latency.max_ns}}}};
  fmt::print("{}\n", out.dump());
}

Status Run(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Export target, Connect(arguments.socket, arguments.name));
  ASSIGN_OR_RETURN(const Outcome outcome, Blast(target, arguments.load));
  Print(outcome);
  if (outcome.errors == 0) return {};
  return {Code::kIo, fmt::format("{} requests have failed", outcome.errors)};
}

int Main(int argc, char** argv) {
  Arguments arguments;
  const po::options_description options = Describe(&arguments);
  try {
    po::variables_map values;
    po::store(po::parse_command_line(argc, argv, options), values);
    if (values.contains("help")) {
      std::cout << options;
      return 0;
    }
    po::notify(values);
  } catch (const std::exception& error) {
    fmt::print(stderr, "nbdblast: {}\n", error.what());
    return 2;
  }
  Status status = ReadMode(&arguments);
  if (status.ok()) status = Run(arguments);
  if (status.ok()) return 0;
  fmt::print(stderr, "nbdblast: {}\n", status.ToString());
  return status.code() == Code::kInvalid ? 2 : 1;
}

}  // namespace
}  // namespace atl::nbdblast

int main(int argc, char** argv) { return atl::nbdblast::Main(argc, argv); }
