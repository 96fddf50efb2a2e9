// SPDX-License-Identifier: Apache-2.0
//
// I/O on files that were opened past the page cache (O_DIRECT). The kernel takes whole blocks only,
// between the disk and memory that is aligned as well; what is not so goes through a buffer here,
// and a block of which a part is written is read first and written whole.
//
// Who changes a part of a block must not meet others who change the rest of it as a whole, or zero
// it; of those who change parts each other's bytes stay. Composers order all by 4 KiB anyway.
//
// All I/O on such a file goes this way: a cache beside it would show, and write back, bytes that
// are not those of the disk.
//
// Threads: the executor's.
#pragma once

#include "peers/store/file/context.h"
#include "xseg/base/sync.h"

namespace atl {

// What offsets, lengths and memory are multiples of. No disk wants more; some want no less.
inline constexpr size_t kDirectBlock = 4 * kKiB;
inline constexpr size_t kDirectBounce = 256 * kKiB;

bool IsDirect(uint64_t offset, ConstSpan memory);

// As of ReadFully and WriteFully. Whoever writes parts of blocks of one file waits in line at
// `edges`, of that file's blob.
Task<int> ReadDirect(FileContext& context, int fd, uint64_t offset, MutSpan out, size_t* got,
                     sys::Site site = sys::Site::current());
Task<int> WriteDirect(FileContext& context, Mutex& edges, int fd, uint64_t offset, ConstSpan data,
                      bool data_sync, size_t* done, sys::Site site = sys::Site::current());

}  // namespace atl
