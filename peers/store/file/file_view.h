// SPDX-License-Identifier: Apache-2.0
//
// The page cache of one file, mapped: what is there can be handed to a system call as it lies.
//
// Only what is known to be resident is given out. A page that is not would be read from the disk
// when it is touched, on the thread that serves everybody. The kernel is asked for regions of 2 MiB
// at a time. What it has said is believed for a second, and for a minute while the page cache gives
// up nothing at all (page_cache_watch.h): the data of many snapshots lies in many files, a little
// in each region, and to ask for each region each second took a third of the time. A page that goes
// in between costs one such read.
//
// Nobody of ours touches the bytes but by CopyGuarded: where the file cannot be read, or has become
// shorter, that is SIGBUS; for a system call it is EFAULT.
//
// The mapping is of a file description of its own: it would keep the lock of the one by which the
// blob is written.
//
// Page tables stay as long as the mapping does, also those of pages that have gone, and addresses
// are not without end. All views of a store share a budget of both.
//
// Threads: the executor's.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <bitset>
#include <cstdint>
#include <memory>

#include "peers/store/file/sys.h"
#include "xseg/base/bytes.h"
#include "xseg/base/page_cache_watch.h"
#include "xseg/base/units.h"

namespace atl {

struct ViewBudget {
  // Regions of 2 MiB of which something was touched: 4 KiB of page tables, and what is known of
  // them, each. So at most 130 MiB.
  static constexpr size_t kMostRegions = 32 * 1024;
  static constexpr uint64_t kMostMapped = 16 * kTiB;

  size_t regions = 0;
  uint64_t mapped = 0;
  PageCacheWatch watch = PageCacheWatch();  // Of all of them, too.
  bool is_spent() const { return regions >= kMostRegions; }
};

class FileView {
 public:
  // Of the file that `fd` has open. Null where it cannot be mapped, or not any more. The budget
  // outlives the view.
  static std::unique_ptr<FileView> Make(int fd, ViewBudget* budget,
                                        sys::Site site = sys::Site::current());
  ~FileView();
  FileView(const FileView&) = delete;
  FileView& operator=(const FileView&) = delete;

  // False: the file has grown since, and another view would have more of it.
  bool Covers(uint64_t offset, size_t length) const { return offset + length <= mapping_.size(); }
  // Empty unless all of it is resident, as far as is known. What is given stays right until
  // somebody else runs. Of a long range empty at first, too: on a virtual machine with shadow page
  // tables the first touch of a page costs more than to copy it, and many are read but once.
  ConstSpan Get(uint64_t offset, size_t length);
  // The bytes that Get would give, for those who cannot hand them to a system call. False as well
  // where the file cannot be read any more.
  bool Copy(uint64_t offset, MutSpan out);
  // Nothing of it is used any more: gives back some of its pages; false once there are none left.
  bool LetGoOfSome();
  // It was read: the next Get has it.
  void NoteResident(uint64_t offset, size_t length);

 private:
  static constexpr uint64_t kPage = 4 * kKiB;
  static constexpr uint64_t kRegion = 2 * kMiB;
  static constexpr uint64_t kPagesOfRegion = kRegion / kPage;
  static constexpr int64_t kTrustMs = 1000;
  static constexpr int64_t kMostTrustMs = 60'000;

  // Up to this a system call saved is worth a first touch.
  static constexpr size_t kShort = 16 * kKiB;
  struct Region {
    int64_t looked_ms = 0;
    uint32_t long_bytes = 0;  // Read by long ranges.
    std::bitset<kPagesOfRegion> resident;
  };

  FileView(MutSpan mapping, ViewBudget* budget);
  Region* Find(uint64_t index);
  bool IsReadAgain(uint64_t offset, size_t length);
  bool IsTrusted(const Region& region) const;
  bool Look(uint64_t index, Region* region) const;
  template <typename F>
  bool EachPage(uint64_t offset, size_t length, F visit);

  MutSpan mapping_;
  ViewBudget* budget_;
  absl::flat_hash_map<uint64_t, Region> regions_;
};

}  // namespace atl
