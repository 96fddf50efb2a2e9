// SPDX-License-Identifier: Apache-2.0
//
// What a file is made of, as its file system tells it.
#pragma once

#include <functional>
#include <string>

#include "peers/store/store.h"

namespace atl {

// Called for the pieces of a range in order; neighbours may be of the same sort. Its first error
// ends the visit.
using VisitPiece = std::function<Status(ByteRange piece, bool data)>;
using VisitExtent = std::function<Status(ByteRange piece, ExtentKind kind)>;

// Data and holes, by SEEK_DATA and SEEK_HOLE, which also call zeros that are kept allocated a hole.
Status ForEachPiece(int fd, ByteRange range, const std::string& path, const VisitPiece& visit);
// Tells those from holes, by FIEMAP. Only holes inside of the file's size are asked about; where
// the file system does not know FIEMAP they stay holes.
Status ForEachExtent(int fd, ByteRange range, const std::string& path, const VisitExtent& visit);

}  // namespace atl
