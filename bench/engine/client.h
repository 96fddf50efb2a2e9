/* SPDX-License-Identifier: Apache-2.0
 *
 * A local client of a node as C sees it, for engine.c: fio's headers are no C++.
 *
 * Threads: one for each client.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct EngineClient;

enum EngineOp { kEngineRead, kEngineWrite, kEngineFlush, kEngineDiscard };

/* What has ended: what was asked with this cookie, and 0 or an errno. */
struct EngineDone {
  void* cookie;
  int error;
};

/* Null after a failure, with the reason in `why`, of `room` bytes. */
struct EngineClient* EngineConnect(const char* socket, const char* volume, int read_only, char* why,
                                   size_t room);
void EngineDisconnect(struct EngineClient* client);
uint64_t EngineVolumeSize(const struct EngineClient* client);

/* The buffer of all requests, in the segment; null if it has no room. Once. There is never room for
 * more than so much. */
size_t EngineMostMemory(void);
void* EngineAllocate(struct EngineClient* client, size_t bytes);

/* `buffer` lies in what EngineAllocate gave. 0: prepared. 1: nothing is left, commit and collect
 * first. */
int EnginePrepare(struct EngineClient* client, enum EngineOp op, uint64_t offset, void* buffer,
                  uint64_t length, void* cookie);
void EngineCommit(struct EngineClient* client);
/* Waits for `least` of them, or until the time is over (negative: never). How many it is, or -1 if
 * the node has gone. */
int EngineCollect(struct EngineClient* client, unsigned least, unsigned most, int64_t timeout_ns,
                  struct EngineDone* done);

#ifdef __cplusplus
}
#endif
