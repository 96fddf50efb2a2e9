// SPDX-License-Identifier: Apache-2.0
#include "peers/store/file/file_views.h"

#include <utility>

namespace atl {

// Where no view can be made it is not tried again until all begin anew.
FileView* FileViews::Find(OpenFile* file, ByteRange range) {
  ViewBudget* budget = table_->view_budget();
  if (file->views_wanted < kViewsToMap && ++file->views_wanted == kViewsToMap) {
    file->view = FileView::Make(file->fd.get(), budget);
  }
  if (!file->view) return nullptr;
  const bool is_short = !file->view->Covers(range.offset, range.length);
  if ((is_short || budget->is_spent()) && !std::exchange(is_dropping_, true)) {
    dropping_.Run(Drop(budget->is_spent() ? std::nullopt : std::optional(file->key)));
  }
  return is_short ? nullptr : file->view.get();
}

// A little of it at a time: there may be millions of pages to let go of.
Task<void> FileViews::Drop(std::optional<FileKey> only) {
  co_await Yield{};
  for (const auto& view : table_->TakeViews(only)) {
    while (view->LetGoOfSome()) co_await Yield{};
  }
  is_dropping_ = false;
}

// A short read is the end of the file, or of what the page cache has.
bool ReadCached(FileViews& views, OpenFile* file, uint64_t offset, MutSpan out, sys::Site site) {
  FileView* view = nullptr;
  if (out.size() <= FileViews::kMostCopied) view = views.Find(file, {offset, out.size()});
  if (view != nullptr && view->Copy(offset, out)) return true;
  const ssize_t got = sys::PreadCached(file->fd.get(), out, offset, site);
  if (got != static_cast<ssize_t>(out.size())) return false;
  if (view != nullptr) view->NoteResident(offset, out.size());
  return true;
}

}  // namespace atl
