// SPDX-License-Identifier: Apache-2.0
//
// The exports of this node: the administrator's resources by name. A snapshot is read-only, and so
// is a volume that turned read-only after a failed sync.
//
// There is no default export: the empty name is kNotFound.
#pragma once

#include <memory>
#include <string>

#include "kernel/nbd/handshake.h"
#include "peers/client/atoll.h"
#include "xseg/base/task.h"

namespace atl::nbd {

struct OpenedExport {
  ExportFacts facts;
  std::unique_ptr<Device> device;
};

class Catalog {
 public:
  explicit Catalog(Atoll* atoll) : atoll_(atoll) {}

  Task<Result<ExportPage>> List(std::string after);
  Task<Result<ExportFacts>> Look(std::string name);
  Task<Result<OpenedExport>> Open(std::string name);

 private:
  Atoll* atoll_;
};

}  // namespace atl::nbd
