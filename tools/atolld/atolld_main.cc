// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <exception>

#include "tools/atolld/daemon.h"

int main(int argc, char** argv) {
  // Errors are Status everywhere; this is for what a library throws where nobody expected it.
  try {
    return atl::DaemonMain(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "atolld: %s\n", error.what());
    return 1;
  }
}
