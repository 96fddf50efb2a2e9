// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "tools/atoll/atoll.h"

// A file that is opened later must not take the number of a stream that is closed: this one can
// neither be read nor written.
static void FillClosedStreams() {
  while (true) {
    const int fd = open("/dev/null", O_PATH);
    if (fd > 2) close(fd);
    if (fd < 0 || fd > 2) return;
  }
}

int main(int argc, char** argv) {
  FillClosedStreams();
  // Errors are Status everywhere; this is for what a library throws where nobody expected it.
  try {
    return atl::RunAtoll({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "atoll: %s\n", error.what());
    return atl::kExitError;
  }
}
