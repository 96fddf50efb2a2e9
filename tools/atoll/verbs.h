// SPDX-License-Identifier: Apache-2.0
//
// The functions behind the table of verbs (verbs.cc), by the file that they are in.
#pragma once

#include "tools/atoll/context.h"
#include "xseg/base/status.h"
#include "xseg/base/task.h"

namespace atl {

// node.cc
Status NodeInit(Context& context);
Status NodeStart(Context& context);
Status NodeStop(Context& context);
Status NodeRestart(Context& context);
Status NodeShowStatus(Context& context);

// volume.cc
Task<Status> VolumeCreate(Context& context);
Task<Status> VolumeList(Context& context);
Task<Status> VolumeShow(Context& context);
Task<Status> VolumeResize(Context& context);
Task<Status> VolumeRename(Context& context);
Task<Status> VolumeRemove(Context& context);
Task<Status> VolumeRollback(Context& context);

// import.cc, export.cc
Task<Status> VolumeImport(Context& context);
Task<Status> VolumeExport(Context& context);

// snapshot.cc
Task<Status> SnapshotCreate(Context& context);
Task<Status> SnapshotList(Context& context);
Task<Status> SnapshotShow(Context& context);
Task<Status> SnapshotRemove(Context& context);

// lock.cc
Task<Status> OpenVolume(Context& context);
Task<Status> CloseVolume(Context& context);
Task<Status> LockVolume(Context& context);
Task<Status> UnlockVolume(Context& context);

// store.cc
Task<Status> StoreList(Context& context);
Task<Status> StoreShow(Context& context);
Task<Status> CollectGarbage(Context& context);

// check.cc, scrub.cc
Task<Status> CheckResources(Context& context);
Task<Status> ScrubResources(Context& context);

// inspect.cc, top.cc
Task<Status> SegmentReport(Context& context);
Task<Status> SegmentCheck(Context& context);
Task<Status> TraceVolume(Context& context);
Task<Status> Top(Context& context);

// atoll.cc
Status Completion(Context& context);

}  // namespace atl
