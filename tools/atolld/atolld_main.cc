// SPDX-License-Identifier: Apache-2.0
#include "tools/atolld/daemon.h"

int main(int argc, char** argv) { return atl::DaemonMain(argc, argv); }
