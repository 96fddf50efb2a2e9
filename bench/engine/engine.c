/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine for fio that uses a volume of a node through shared memory:
 *
 *   fio --ioengine=external:build/lib/fio-atoll.so --socket=STATE/local.sock --volume=NAME ...
 *
 * fio's buffers lie in the client's segment, so nothing is copied between fio and the node. What
 * fio queues is submitted when it commits.
 */
#include <errno.h>
#include <fio.h>
#include <optgroup.h>
#include <stdlib.h>

#include "bench/engine/client.h"

struct Options {
  void* for_fio; /* An offset of 0 means that there is none. */
  char* socket;
  char* volume;
};

static struct fio_option options[] = {
    {
        .name = "socket",
        .lname = "socket of the node",
        .help = "STATE/local.sock",
        .type = FIO_OPT_STR_STORE,
        .off1 = offsetof(struct Options, socket),
        .category = FIO_OPT_C_ENGINE,
        .group = FIO_OPT_G_INVALID,
    },
    {
        .name = "volume",
        .lname = "volume or snapshot",
        .help = "Its name",
        .type = FIO_OPT_STR_STORE,
        .off1 = offsetof(struct Options, volume),
        .category = FIO_OPT_C_ENGINE,
        .group = FIO_OPT_G_INVALID,
    },
    {.name = NULL},
};

struct Data {
  struct EngineClient* client;
  struct EngineDone* done;
};

static struct EngineClient* Connect(struct thread_data* td) {
  const struct Options* o = td->eo;
  char why[512];
  if (!o->socket || !o->volume) {
    log_err("fio: atoll: the options socket and volume are needed\n");
    return NULL;
  }
  struct EngineClient* client =
      EngineConnect(o->socket, o->volume, !td_write(td) && !td_trim(td), why, sizeof(why));
  if (!client) log_err("fio: atoll: %s\n", why);
  return client;
}

/* In the process that starts the jobs, to know the size. */
static int Setup(struct thread_data* td) {
  struct EngineClient* client = Connect(td);
  if (!client) return 1;
  if (!td->files_index) {
    add_file(td, "atoll", 0, 0);
    td->o.nr_files = td->o.nr_files ? td->o.nr_files : 1;
    td->o.open_files++;
  }
  td->files[0]->real_file_size = EngineVolumeSize(client);
  EngineDisconnect(client);
  return 0;
}

/* In the process of the job. */
static int Init(struct thread_data* td) {
  const unsigned long long needed = td_max_bs(td) * td->o.iodepth + page_mask;
  struct Data* data;
  /* Of an allocation that fails fio takes no notice. */
  if (needed > EngineMostMemory()) {
    log_err("fio: atoll: block size times depth is more than the %zu bytes that a client has\n",
            EngineMostMemory());
    return 1;
  }
  data = calloc(1, sizeof(*data));
  if (!data) return 1;
  td->io_ops_data = data;
  data->done = calloc(td->o.iodepth, sizeof(*data->done));
  data->client = Connect(td);
  return !data->client || !data->done;
}

static void Cleanup(struct thread_data* td) {
  struct Data* data = td->io_ops_data;
  if (!data) return;
  if (data->client) EngineDisconnect(data->client);
  free(data->done);
  free(data);
  td->io_ops_data = NULL;
}

static int AllocateMemory(struct thread_data* td, size_t bytes) {
  struct Data* data = td->io_ops_data;
  td->orig_buffer = EngineAllocate(data->client, bytes);
  if (td->orig_buffer) return 0;
  log_err("fio: atoll: a client has no %zu bytes of buffers in one piece\n", bytes);
  return 1;
}

/* It goes with the client. */
static void FreeMemory(struct thread_data* td) { td->orig_buffer = NULL; }

static enum fio_q_status Queue(struct thread_data* td, struct io_u* io_u) {
  struct Data* data = td->io_ops_data;
  enum EngineOp op;
  fio_ro_check(td, io_u);
  switch (io_u->ddir) {
    case DDIR_READ:
      op = kEngineRead;
      break;
    case DDIR_WRITE:
      op = kEngineWrite;
      break;
    case DDIR_TRIM:
      op = kEngineDiscard;
      break;
    case DDIR_SYNC:
    case DDIR_DATASYNC:
      op = kEngineFlush;
      break;
    default:
      io_u->error = EINVAL;
      return FIO_Q_COMPLETED;
  }
  if (EnginePrepare(data->client, op, io_u->offset, io_u->xfer_buf, io_u->xfer_buflen, io_u)) {
    return FIO_Q_BUSY;
  }
  io_u->error = 0;
  return FIO_Q_QUEUED;
}

static int Commit(struct thread_data* td) {
  struct Data* data = td->io_ops_data;
  EngineCommit(data->client);
  return 0;
}

static int GetEvents(struct thread_data* td, unsigned int least, unsigned int most,
                     const struct timespec* t) {
  struct Data* data = td->io_ops_data;
  const int64_t limit_ns = t ? t->tv_sec * 1000000000ll + t->tv_nsec : -1;
  const int count = EngineCollect(data->client, least, most, limit_ns, data->done);
  if (count >= 0) return count;
  log_err("fio: atoll: the node has gone\n");
  return -EIO;
}

static struct io_u* Event(struct thread_data* td, int number) {
  struct Data* data = td->io_ops_data;
  struct io_u* io_u = data->done[number].cookie;
  io_u->error = (unsigned int)data->done[number].error;
  return io_u;
}

static int OpenFile(struct thread_data* td, struct fio_file* file) { return 0; }
static int Invalidate(struct thread_data* td, struct fio_file* file) { return 0; }

/* What fio looks for after it has loaded this. */
struct ioengine_ops ioengine = {
    .name = "atoll",
    .version = FIO_IOOPS_VERSION,
    .flags = FIO_DISKLESSIO | FIO_NOEXTEND,
    .setup = Setup,
    .init = Init,
    .cleanup = Cleanup,
    .iomem_alloc = AllocateMemory,
    .iomem_free = FreeMemory,
    .queue = Queue,
    .commit = Commit,
    .getevents = GetEvents,
    .event = Event,
    .open_file = OpenFile,
    .invalidate = Invalidate,
    .options = options,
    .option_struct_size = sizeof(struct Options),
};
