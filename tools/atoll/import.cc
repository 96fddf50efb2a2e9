// SPDX-License-Identifier: Apache-2.0
//
// `atoll volume import`: reads the parts of the file that are no holes, leaves out runs of zeros,
// and writes what remains, several pieces at once. Until all of it is there and durable the volume
// has a name that says so.
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
  if (removed.ok() && why.code() == Code::kNoSpace) {
    co_return Status(
        why.code(),
        fmt::format("{}; what it took is free again in some minutes, or after 'atoll gc'",
                    why.message()));
  }
  if (removed.ok()) co_return why;
  co_return Status(why.code(), fmt::format("{}; the half-made volume could not be removed: {}",
                                           why.message(), removed.message()));
}

std::string UnfinishedName(const std::string& name, const Uuid& uuid) {
  constexpr std::string_view kSuffix = ".importing";
  if (name.size() + kSuffix.size() <= kMaxNameBytes) return name + std::string(kSuffix);
  return uuid.ToString() + std::string(kSuffix);
}

// Better said now than after hours.
Task<Status> CheckFree(Context& context, std::string name) {
  const ResourceRef ref = ResourceRef::Named(name);
  const auto there = co_await context.node().Show(ref, false);
  if (there.code() == Code::kNotFound) co_return OkStatus();
  if (!there.ok()) co_return there.status();
  co_return Status(Code::kExists, name + " exists already");
}

Status WithWayOut(Status status, const std::string& unfinished) {
  if (status.code() != Code::kExists) return status;
  return {Code::kExists,
          fmt::format("{} is there: it is being imported, or an import was killed; then remove "
                      "what it left: atoll volume remove {}",
                      unfinished, unfinished)};
}

// All of it is there. Should somebody have taken the name meanwhile, nothing is thrown away.
Task<Result<ResourceInfo>> GiveName(Context& context, ResourceInfo volume, std::string name) {
  auto named = co_await context.node().Rename(ResourceRef::Of(volume.uuid), name);
  if (named.ok()) co_return named;
  co_return Status(named.code(), fmt::format("{}; what was imported is volume {}",
                                             named.status().message(), volume.name));
}

Result<CreateSpec> SpecFor(Context& context, const ImageSource& image) {
  CreateSpec spec;
  spec.uuid = context.executor().NewUuid();
  const std::string& name = context.Value("NAME");
  RETURN_IF_ERROR(ValidateName(name));
  spec.name = UnfinishedName(name, spec.uuid);
  spec.store = context.Value("store");
  spec.size = AlignUp(image.size, kSector);
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
  const Status free = co_await CheckFree(context, name);
  if (!free.ok()) co_return About(free, "volume", name);
  const std::string unfinished = spec->name;
  const auto volume = co_await context.node().Create(*std::move(spec));
  if (!volume.ok()) co_return About(WithWayOut(volume.status(), unfinished), "volume", name);
  const Status filled = co_await Fill(context, image, *volume);
  if (!filled.ok()) {
    co_return About(co_await RemoveHalfMade(context, *volume, filled), "volume", name);
  }
  auto named = co_await GiveName(context, *volume, name);
  if (!named.ok()) co_return About(named.status(), "volume", name);
  std::string said =
      fmt::format("imported {} as volume {}, {}", image.path, name, HumanSize(volume->size));
  co_return co_await PrintDone(context, std::move(said), *std::move(named));
}

}  // namespace atl
