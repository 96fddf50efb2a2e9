// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <boost/program_options.hpp>
#include <iostream>
#include <string>

#include "tools/atolld/daemon.h"
#include "tools/atolld/node.h"
#include "tools/config/load.h"
#include "tools/config/version.h"

namespace atl {
namespace {

namespace po = boost::program_options;

constexpr int kWrongUsage = 2;

struct Arguments {
  std::string config;
  int ready_fd = -1;
  PeerArguments peer;
  bool check = false;
  bool help = false;
  bool version = false;
};

po::options_description Options(Arguments* arguments) {
  po::options_description options("atolld, the Atoll node daemon: atolld [--config FILE]");
  options.add_options()  //
      ("config", po::value(&arguments->config)->value_name("FILE"),
       "configuration; else $ATOLL_CONFIG, ./var/atoll.conf or /etc/atoll/atoll.conf")  //
      ("ready-fd", po::value(&arguments->ready_fd)->value_name("FD"),
       "a pipe on which to say 'ready' or what went wrong")  //
      ("peer", po::value(&arguments->peer.name)->value_name("NAME"),
       "be this peer of an isolated node; for atolld itself")  //
      ("segment", po::value(&arguments->peer.segment)->value_name("FDS"),
       "of a peer: its shared memory")  //
      ("folder-fd", po::value(&arguments->peer.folder_fd)->value_name("FD"),
       "of a peer: the state folder, locked")  //
      ("ledger-fd", po::value(&arguments->peer.ledger_fd)->value_name("FD"),
       "of a peer: what stores hold")  //
      ("stores", po::value(&arguments->peer.stores)->value_name("FDS"),
       "of a peer: what outlives the processes of stores")  //
      ("daemon-pid", po::value(&arguments->peer.daemon_pid)->value_name("PID"),
       "of a peer: the daemon that starts it")  //
      ("heirloom-fd", po::value(&arguments->peer.heirloom_fd)->value_name("FD"),
       "of a peer that takes the place of one that has died: what that one held")  //
      ("check", po::bool_switch(&arguments->check),
       "only look at the configuration; exit code 1 if it cannot be run")  //
      ("version", po::bool_switch(&arguments->version), "show the version")(
          "help", po::bool_switch(&arguments->help), "show this");
  return options;
}

// One line an event on stderr, wherever that leads: a terminal, a journal or a file.
void SetUpLog(const std::string& level, const std::string& peer) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("atolld"));
  const std::string who = peer.empty() ? "" : "[" + peer + "] ";
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ " + who + "%v");
  spdlog::set_level(spdlog::level::from_str(level));
  spdlog::flush_on(spdlog::level::info);
}

// Volumes, blobs and clients take descriptors each; what the system gives to anybody who asks is
// asked for.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int DaemonMain(int argc, char** argv) {
  Arguments arguments;
  const po::options_description options = Options(&arguments);
  try {
    po::variables_map values;
    po::store(po::command_line_parser(argc, argv).options(options).positional({}).run(), values);
    po::notify(values);
  } catch (const po::error& error) {
    fmt::print(stderr, "atolld: {}; see atolld --help\n", error.what());
    return kWrongUsage;
  }
  if (arguments.help) {
    std::cout << options;
    return 0;
  }
  if (arguments.version) {
    fmt::print("atolld {}\n", Version());
    return 0;
  }
  const auto path = FindConfig(arguments.config);
  auto config = path.ok() ? LoadConfig(*path) : Result<NodeConfig>(path.status());
  if (!config.ok()) {
    fmt::print(stderr, "atolld: {}\n", config.status().message());
    return 1;
  }
  SetUpLog(config->log_level, arguments.peer.name);
  RaiseDescriptorLimit();
  if (!arguments.peer.name.empty()) {
    arguments.peer.ready_fd = arguments.ready_fd;
    return Node::RunPeer(*config, arguments.peer);
  }
  if (arguments.check) return CheckOnly(*config, {.ready_fd = arguments.ready_fd});
  return RunDaemon(*config, {.ready_fd = arguments.ready_fd});
}

}  // namespace atl
