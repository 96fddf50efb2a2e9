// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/verbs.h"

#include <array>

namespace atl {
namespace {

constexpr ArgumentRow kVolume[] = {{"NAME", true, Words::kVolume}};
constexpr ArgumentRow kSnapshot[] = {{"NAME", true, Words::kSnapshot}};
constexpr ArgumentRow kResource[] = {{"NAME", true, Words::kResource}};
constexpr ArgumentRow kAnyResource[] = {{"NAME", false, Words::kResource}};
constexpr ArgumentRow kNewName[] = {{"NAME"}};
constexpr ArgumentRow kStoreName[] = {{"NAME", true, Words::kStore}};
constexpr ArgumentRow kRename[] = {{"NAME", true, Words::kVolume}, {"NEW"}};
constexpr ArgumentRow kImport[] = {{"FILE", true, Words::kFile}, {"NAME"}};
constexpr ArgumentRow kExport[] = {{"NAME", true, Words::kResource}, {"FILE", true, Words::kFile}};
constexpr ArgumentRow kNewSnapshot[] = {{"VOLUME", true, Words::kVolume}, {"NAME"}};
constexpr ArgumentRow kOfVolume[] = {{"VOLUME", false, Words::kVolume}};
constexpr ArgumentRow kPeer[] = {{"PEER", false}, {"STORE", false, Words::kStore}};
constexpr ArgumentRow kShell[] = {{"SHELL", true, Words::kFixed, "bash zsh"}};

constexpr OptionRow kInit[] = {
    {"state", "DIR", "the state folder; made if it is absent", true, Words::kFolder},
    {"placement", "fused|isolated", "peers in one process, or one process each", false,
     Words::kFixed, "fused isolated"},
    {"force", "", "replace a configuration that is there"},
};
constexpr OptionRow kStart[] = {{"foreground", "", "stay; log to the terminal"}};
constexpr OptionRow kStop[] = {
    {"timeout", "SECONDS", "how long to wait for the end; 60 if not given"},
    {"kill", "", "kill the node when the time is over; what was acknowledged is kept"},
};
constexpr OptionRow kCreate[] = {
    {"size", "SIZE", "its size; may be left out with --from"},
    {"from", "SNAPSHOT", "start as a clone of this snapshot", false, Words::kSnapshot},
    {"store", "STORE", "where it lives; else the default store, or the snapshot's", false,
     Words::kStore},
};
constexpr OptionRow kQuiet[] = {{"quiet", "", "names only, one a line, whatever the format"}};
constexpr OptionRow kResize[] = {
    {"size", "SIZE", "the new size", true},
    {"force", "", "allow a smaller size, which cuts off what is beyond"},
};
constexpr OptionRow kRemove[] = {
    {"lost", "", "NAME is uuid:UUID of a volume whose header is missing; give its data up"}};
constexpr OptionRow kRollback[] = {
    {"to", "SNAPSHOT", "what it becomes, size and all", true, Words::kSnapshot}};
constexpr OptionRow kIntoStore[] = {
    {"store", "STORE", "where it lives; else the default store", false, Words::kStore}};
constexpr OptionRow kOverFile[] = {{"force", "", "replace a file that is there"}};
constexpr OptionRow kUnlock[] = {
    {"force", "", "break the lock of a holder that cannot be asked; see the help of this verb"}};
constexpr OptionRow kGc[] = {{"dry-run", "", "show what would go, remove nothing"}};
constexpr OptionRow kCheck[] = {{"repair", "", "do what loses nothing; see the help of this verb"}};
constexpr OptionRow kScrub[] = {
    {"rate", "SIZE", "read at most so much a second; 64M if not given"},
    {"status", "", "show how far it is, or how the last one ended"},
    {"cancel", "", "end the one that runs"},
    {"detach", "", "start it and return"},
};
constexpr OptionRow kTop[] = {
    {"once", "", "print the counters once, without rates"},
    {"interval", "SECONDS", "time between two looks; 1 if not given"},
    {"count", "N", "end after so many looks"},
};

constexpr std::string_view kSpaceComesLater =
    "Its space is free after the next garbage collection: the node collects every ten minutes, "
    "and\n"
    "'atoll gc' does at once.";

constexpr VerbRow kVerbs[] = {
    {"node",
     "init",
     {},
     kInit,
     "write DIR/atoll.conf, commented, ready to start",
     "",
     nullptr,
     NodeInit},
    {"node", "start", {}, kStart, "start the node; returns when it serves", "", nullptr, NodeStart},
    {"node", "stop", {}, kStop, "stop the node after what is in flight", "", nullptr, NodeStop},
    {"node",
     "restart",
     kPeer,
     {},
     "restart the node, or one peer of it",
     "With a configuration that cannot be understood the node is left running. Whether its stores\n"
     "are there and its addresses are free shows only when it starts again.\n"
     "In the isolated placement a front end (nbd) can be restarted by itself. Stores, the mapper\n"
     "and the composer hold open volumes and are restarted with the whole node only, also after\n"
     "one of them has died; so are all peers of a fused node. Peers are called as in 'node "
     "status';\n"
     "'store default' may also be written store/default, or default.",
     nullptr,
     NodeRestart},
    {"node",
     "status",
     {},
     {},
     "show whether the node serves, and its peers",
     "",
     nullptr,
     NodeShowStatus},

    {"volume", "create", kNewName, kCreate, "make a volume, empty or as a clone of a snapshot", "",
     VolumeCreate},
    {"volume", "list", {}, kQuiet, "list all volumes", "", VolumeList},
    {"volume", "show", kVolume, {}, "show a volume, its space and its NBD URI", "", VolumeShow},
    {"volume", "resize", kVolume, kResize, "change a volume's size", "", VolumeResize},
    {"volume", "rename", kRename, {}, "give a volume or a snapshot a new name", "", VolumeRename},
    {"volume", "remove", kVolume, kRemove, "remove a volume; its snapshots and clones stay",
     kSpaceComesLater, VolumeRemove},
    {"volume", "rollback", kVolume, kRollback, "make a volume what a snapshot is", "",
     VolumeRollback},
    {"volume", "import", kImport, kIntoStore, "make a volume of a raw image, holes kept",
     "FILE is a file or a block device. Holes and runs of zeros take no space in the volume. A\n"
     "size that is no multiple of 512 is rounded up. Until all of it is there and durable the\n"
     "volume is called NAME.importing. If the import fails or is interrupted, that is removed; if\n"
     "the process is killed, or the node dies, it stays: remove it and import again.",
     VolumeImport},
    {"volume", "export", kExport, kOverFile, "write a volume or a snapshot to a raw image",
     "The file is complete and durable, or absent; what a killed export leaves is called\n"
     "FILE.partial-PID and may be removed. Parts that read as zero become holes. A volume that is\n"
     "written to meanwhile is better exported from a snapshot.",
     VolumeExport},

    {"snapshot",
     "create",
     kNewSnapshot,
     {},
     "keep what a volume is now, also while it is in use",
     "",
     SnapshotCreate},
    {"snapshot", "list", kOfVolume, kQuiet, "list all snapshots, or those of a volume", "",
     SnapshotList},
    {"snapshot",
     "show",
     kSnapshot,
     {},
     "show a snapshot, its space and its NBD URI",
     "",
     SnapshotShow},
    {"snapshot",
     "remove",
     kSnapshot,
     {},
     "remove a snapshot; clones of it stay",
     kSpaceComesLater,
     SnapshotRemove},

    {"",
     "open",
     kVolume,
     {},
     "take a volume's lock for this node before its first write",
     "The volume stays open, with or without clients, until 'atoll close', or until the node "
     "stops:\n"
     "a node that starts again has none of its volumes open.",
     OpenVolume},
    {"", "close", kVolume, {}, "give a volume's lock back", "", CloseVolume},
    {"", "lock", kVolume, {}, "take a volume's lock for this node and show it", "", LockVolume},
    {"", "unlock", kVolume, kUnlock, "free a volume that another node has left locked",
     "Without --force only the lock of a holder that is proven dead, or whose lease has ended, is\n"
     "broken. With --force the holder may be alive: it is fenced, and what it had not flushed may\n"
     "be lost. Its clients may read what was for some seconds more, a third of lease_seconds.\n"
     "To fence it, the store seals the volume's files; on file systems that seal by the\n"
     "immutable flag, sealed files keep it. Whoever removes a store by hand then clears it first:\n"
     "chattr -R -i PATH.",
     UnlockVolume},

    {"store", "list", {}, kQuiet, "list the stores of the node", "", StoreList},
    {"store", "show", kStoreName, {}, "show a store and what it can do", "", StoreShow},
    {"", "gc", {}, kGc, "remove what no volume and no snapshot names any more", "", CollectGarbage},

    {"", "check", kAnyResource, kCheck, "check all metadata, or that of one volume or snapshot",
     "Reads every record, journal and map node and says exactly what is damaged, lost or\n"
     "contradicts something else, while everything is in use. An 'error' is damage; a 'note' is\n"
     "unusual and harmless, like an operation that the next open finishes. Data is not read: see\n"
     "'atoll scrub'. What nobody names any more is counted as garbage, unless something is "
     "damaged.\n"
     "--repair finishes what was begun, puts a missing name record back, takes away names that do\n"
     "not count and locks of nodes that have ended, writes wrong counts of a closed volume anew,\n"
     "and collects garbage if nothing is damaged. It never touches what could hold data.\n"
     "Exit code 0: no errors, or all of them repaired. 1: errors.",
     CheckResources},
    {"", "scrub", kAnyResource, kScrub, "read all data and metadata again, slowly",
     "Checks all metadata as 'atoll check' does, then reads all data of all blobs, or those of "
     "one\n"
     "volume or snapshot, so that what a disk cannot give any more is found in time. It runs in\n"
     "the node, one at a time: the command shows its progress, and may be interrupted without\n"
     "ending it. The outcome is kept until the next one, or until the node stops. Data that a "
     "disk\n"
     "gives back wrong, without an error, is noticed in stores with checksum = on.\n"
     "Exit code 0: nothing was found. 1: errors, or it was cancelled.",
     ScrubResources},

    {"segment", "report", {}, {}, "show the shared-memory segment", "", SegmentReport},
    {"segment",
     "check",
     {},
     {},
     "check the segment's invariants; exit code 1 if one is broken",
     "",
     SegmentCheck},
    {"",
     "top",
     {},
     kTop,
     "live view of ports, rates and latencies",
     "Rates and latencies are those of the last interval; with --once everything is counted from "
     "the\nstart of the port, as errors always are.",
     Top},
    {"",
     "trace",
     kResource,
     {},
     "where the time of this volume's requests goes, hop by hop",
     "",
     TraceVolume},

    {"",
     "completion",
     kShell,
     {},
     "print a completion script for a shell",
     "",
     nullptr,
     Completion},
};

constexpr GroupRow kGroups[] = {
    {"node", "the node"}, {"volume", "volumes"},      {"snapshot", "snapshots"},
    {"store", "stores"},  {"segment", "the segment"}, {"", "locks and others"},
};

constexpr OptionRow kCommon[] = {
    {"config", "FILE", "else $ATOLL_CONFIG, ./var/atoll.conf, /etc/atoll/atoll.conf", false,
     Words::kFile},
    {"format", "table|json", "how to answer", false, Words::kFixed, "table json"},
    {"help", "", "show this"},
    {"version", "", "show the version"},
};

}  // namespace

std::span<const VerbRow> Verbs() { return kVerbs; }
std::span<const GroupRow> Groups() { return kGroups; }
std::span<const OptionRow> CommonOptions() { return kCommon; }

}  // namespace atl
