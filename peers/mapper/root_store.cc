// SPDX-License-Identifier: Apache-2.0
#include "peers/mapper/root_store.h"

namespace atl {

Task<Result<Root>> ReadRoot(StoreSet* stores, RootPointer pointer) {
  if (pointer.absent()) co_return Root();
  CO_ASSIGN_OR_RETURN(const StoreSlot slot, stores->Find(pointer.store));
  const LogId log = pointer.log();
  Bytes bytes(pointer.length);
  CO_ASSIGN_OR_RETURN(const size_t got,
                      co_await stores->at(slot).ReadLog(log, pointer.offset, MutSpan(bytes)));
  if (got < bytes.size()) {
    co_return Status(Code::kCorrupt, log.ToString() + " ends inside of a root node");
  }
  co_return DecodeRoot(bytes, NodePlace{log, pointer.offset}, pointer.crc);
}

}  // namespace atl
