// SPDX-License-Identifier: Apache-2.0
//
// `atoll volume export`: asks which parts are data, reads them, leaves out runs of zeros, several
// pieces at once.
#include <fmt/format.h>

#include <utility>

#include "tools/atoll/image_file.h"
#include "tools/atoll/pipeline.h"
#include "tools/atoll/progress.h"
#include "tools/atoll/resource.h"
#include "tools/atoll/size.h"
#include "tools/atoll/sparse.h"
#include "tools/atoll/verbs.h"

namespace atl {
namespace {

// Asked for at once.
constexpr size_t kExtentsAtOnce = 1024;
constexpr uint64_t kExtentWindow = kTiB;

class Export {
 public:
  Export(Context& context, Device& device, ImageTarget& target)
      : executor_(context.executor()),
        device_(device),
        target_(target),
        progress_("exporting " + device.info().name, device.info().size) {}

  Task<Status> Run() {
    const uint64_t size = device_.info().size;
    for (uint64_t at = 0; at < size && !pipeline_.failed();) {
      const ByteRange window{at, std::min(kExtentWindow, size - at)};
      const auto extents = co_await device_.Extents(window, kExtentsAtOnce);
      if (!extents.ok()) {
        pipeline_.Fail(extents.status());
        break;
      }
      if (extents->empty()) {
        pipeline_.Fail({Code::kInternal, "the node describes nothing of a range"});
        break;
      }
      for (const DeviceExtent& extent : *extents) co_await Take(extent);
      at = extents->back().range.end();
    }
    CO_RETURN_IF_ERROR(co_await pipeline_.Join());
    co_return co_await target_.Commit(executor_);
  }
  uint64_t data_bytes() const { return data_bytes_; }

 private:
  Task<void> Take(const DeviceExtent& extent) {
    if (extent.zero) {
      progress_.Advance(extent.range.length);
      co_return;
    }
    const auto copy = [this](ByteRange part) { return Copy(part); };
    co_await pipeline_.RunPieces(extent.range, copy);
  }

  Task<Status> Copy(ByteRange part) {
    const Buffer buffer = co_await device_.buffers().Get(part.length);
    CO_RETURN_IF_ERROR(co_await device_.Read(part.offset, buffer.span()));
    for (const ByteRange& run : DataRuns(part.offset, buffer.span())) {
      const ConstSpan data = buffer.span().subspan(run.offset, run.length);
      CO_RETURN_IF_ERROR(co_await WriteFile(executor_, target_.fd(), target_.path(),
                                            part.offset + run.offset, data));
      data_bytes_ += run.length;
    }
    progress_.Advance(part.length);
    co_return Status();
  }

  Executor& executor_;
  Device& device_;
  ImageTarget& target_;
  Progress progress_;
  Pipeline pipeline_;
  uint64_t data_bytes_ = 0;
};

Task<Result<uint64_t>> Copy(Context& context, Device& device) {
  CO_ASSIGN_OR_RETURN(
      ImageTarget target,
      ImageTarget::Create(context.Value("FILE"), device.info().size, context.Flag("force")));
  Export copy(context, device, target);
  CO_RETURN_IF_ERROR(co_await copy.Run());
  co_return copy.data_bytes();
}

}  // namespace

Task<Status> VolumeExport(Context& context) {
  const std::string& name = context.Value("NAME");
  const std::string& file = context.Value("FILE");
  const InterruptGuard guard;
  const auto ref = ParseRef(name);
  if (!ref.ok()) co_return About(ref.status(), "volume", name);
  auto opened = co_await context.node().Open(*ref, OpenMode::kReadOnly);
  if (!opened.ok()) co_return About(opened.status(), "volume", name);
  Device& device = **opened;
  const auto copied = co_await Copy(context, device);
  const uint64_t size = device.info().size;
  co_await device.Close();
  if (!copied.ok()) co_return About(copied.status(), "volume", name);
  Json json{{"name", name}, {"file", file}, {"size", size}, {"data_bytes", *copied}};
  const std::string said = fmt::format("exported {} to {}, {}, of that {} data", name, file,
                                       HumanSize(size), HumanSize(*copied));
  Print(RenderSaid(context.format(), said, json));
  co_return Status();
}

}  // namespace atl
