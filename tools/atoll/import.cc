// SPDX-License-Identifier: Apache-2.0
//
// `atoll volume import`: reads the parts of the file that are no holes, leaves out runs of zeros,
// and writes what remains, several pieces at once.
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

class Import {
 public:
  Import(Context& context, const ImageSource& image, Device& device)
      : executor_(context.executor()),
        image_(image),
        device_(device),
        progress_("importing " + image.path, image.size) {}

  Task<Status> Run() {
    const auto copy = [this](ByteRange part) { return Copy(part); };
    for (uint64_t at = 0; at < image_.size && !pipeline_.failed();) {
      const auto data = NextData(image_, at);
      if (!data.ok()) {
        pipeline_.Fail(data.status());
        break;
      }
      const ByteRange range = data->value_or(ByteRange{image_.size, 0});
      progress_.Advance(range.offset - at);
      co_await pipeline_.RunPieces(range, copy);
      at = range.end();
    }
    CO_RETURN_IF_ERROR(co_await pipeline_.Join());
    co_return co_await device_.Flush();
  }

 private:
  Task<Status> Copy(ByteRange part) {
    const Buffer buffer = co_await device_.buffers().Get(part.length);
    CO_RETURN_IF_ERROR(co_await ReadFile(executor_, image_, part.offset, buffer.span()));
    for (const ByteRange& run : DataRuns(part.offset, buffer.span())) {
      const ConstSpan data = buffer.span().subspan(run.offset, run.length);
      CO_RETURN_IF_ERROR(co_await device_.Write(part.offset + run.offset, data, {}));
    }
    progress_.Advance(part.length);
    co_return Status();
  }

  Executor& executor_;
  const ImageSource& image_;
  Device& device_;
  Progress progress_;
  Pipeline pipeline_;
};

Task<Status> Fill(Context& context, const ImageSource& image, const ResourceInfo& volume) {
  CO_ASSIGN_OR_RETURN(
      const std::unique_ptr<Device> device,
      co_await context.node().Open(ResourceRef::Of(volume.uuid), OpenMode::kReadWrite));
  Status status;
  {
    Import import(context, image, *device);
    status = co_await import.Run();
  }
  co_await device->Close();
  co_return status;
}

// The outcome of the import, with a word on what could not be tidied up.
Task<Status> RemoveHalfMade(Context& context, const ResourceInfo& volume, Status why) {
  const Status removed = co_await context.node().Remove(ResourceRef::Of(volume.uuid));
  if (removed.ok()) co_return why;
  co_return Status(why.code(), fmt::format("{}; the half-made volume could not be removed: {}",
                                           why.message(), removed.message()));
}

Result<CreateSpec> SpecFor(Context& context, const ImageSource& image) {
  CreateSpec spec;
  spec.uuid = context.executor().NewUuid();
  spec.name = context.Value("NAME");
  spec.store = context.Value("store");
  spec.size = AlignUp(image.size, kSector);
  RETURN_IF_ERROR(ValidateName(spec.name));
  RETURN_IF_ERROR(ValidateSize(spec.size));
  if (spec.size != image.size) {
    fmt::print(stderr, "atoll: note: {} has {} bytes; the volume has {}, a multiple of 512\n",
               image.path, image.size, spec.size);
  }
  return spec;
}

}  // namespace

Task<Status> VolumeImport(Context& context) {
  const std::string& name = context.Value("NAME");
  const InterruptGuard guard;
  CO_ASSIGN_OR_RETURN(const ImageSource image, OpenImage(context.Value("FILE")));
  auto spec = SpecFor(context, image);
  if (!spec.ok()) co_return About(spec.status(), "volume", name);
  auto volume = co_await context.node().Create(*std::move(spec));
  if (!volume.ok()) co_return About(volume.status(), "volume", name);
  const Status filled = co_await Fill(context, image, *volume);
  if (!filled.ok()) {
    co_return About(co_await RemoveHalfMade(context, *volume, filled), "volume", name);
  }
  std::string said =
      fmt::format("imported {} as volume {}, {}", image.path, name, HumanSize(volume->size));
  co_return co_await PrintDone(context, std::move(said), *std::move(volume));
}

}  // namespace atl
