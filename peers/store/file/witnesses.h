// SPDX-License-Identifier: Apache-2.0
//
// The witnesses of what one blob or log has of files (peers/store/witness_box.h). Without a box
// nothing here does anything.
//
// Threads: the executor's.
#pragma once

#include <string>
#include <vector>

#include "peers/store/file/context.h"
#include "peers/store/witness_box.h"

namespace atl {

class Witnesses {
 public:
  // What processes before this one have left of these files of `dir`: kIo if bytes that were
  // written to one of them are lost. For who has just locked them.
  Task<Status> Ask(FileContext& context, const Dir& dir, std::vector<std::string> names);
  // The file gets one if it has none, before anything is written to it.
  Task<void> Keep(FileContext& context, const Dir& dir, std::string name);
  // A sync of one of them has failed.
  void NoteFailure(FileContext& context);
  // Nothing is written to them any more.
  void Forget(FileContext& context);

 private:
  void Add(FileId file);

  std::vector<FileId> files_;
};

}  // namespace atl
