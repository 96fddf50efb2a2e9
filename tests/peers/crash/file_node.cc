// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/file_node.h"

#include "peers/store/file/file_store.h"
#include "peers/store/filter/forwarding_store.h"

namespace atl {
namespace {

// After a power loss the machine has another boot id. This one has not, so the store tells it.
class RebootedStore final : public ForwardingStore {
 public:
  RebootedStore(std::unique_ptr<Store> below, const Uuid& boot)
      : ForwardingStore(std::move(below)), info_(ForwardingStore::info()) {
    info_.cache.boot = boot;
  }
  const StoreInfo& info() const override { return info_; }

 private:
  Task<Status> Before(const StoreCall&) override { co_return OkStatus(); }
  Task<Status> After(const StoreCall&, Status outcome) override { co_return outcome; }

  StoreInfo info_;
};

}  // namespace

Result<std::unique_ptr<FileNode>> FileNode::Start(RealEnv* env, const FileNodeOptions& options,
                                                  std::span<const Uuid> before) {
  FileStoreOptions file;
  file.name = "default";
  file.path = options.path;
  file.create = options.create;
  file.reserve_bytes = options.reserve_bytes;
  ASSIGN_OR_RETURN(std::unique_ptr<Store> store, FileStore::Open(env->executor(), file));
  if (options.rebooted) store = std::make_unique<RebootedStore>(std::move(store), env->NewUuid());
  NodeIdentity identity;
  identity.incarnation = options.incarnation;
  identity.node = "n";
  auto parts = std::make_unique<NodeParts>(
      &env->executor(), std::move(store), std::move(identity),
      [env](Task<void> task) { env->Run(std::move(task)); },
      ComposerOptions{.flushes_before_log = 1});
  std::unique_ptr<FileNode> node(new FileNode(env, std::move(parts)));
  for (const Uuid& life : before) {
    RETURN_IF_ERROR(env->Run(node->atoll().BuryPredecessor(life)));
  }
  return node;
}

FileNode::~FileNode() { (void)Stop(); }

Status FileNode::Stop() {
  if (std::exchange(stopped_, true)) return {};
  return env_->Run(atoll().Shutdown());
}

}  // namespace atl
