// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/atoll.h"

int main(int argc, char** argv) { return atl::RunAtoll({argv + 1, argv + argc}); }
