// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/crash/recorder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "xseg/base/check.h"

namespace atl {
namespace {

std::string_view BaseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::string Describe(const DiskOp& op) {
  static constexpr const char* kNames[] = {
      "make file", "make directory", "link", "unlink", "rename", "write", "zero", "size", "sync"};
  std::string text = fmt::format("{}..{} {} {}", op.begun, op.ended,
                                 kNames[static_cast<size_t>(op.kind)], op.node);
  if (!op.name.empty()) text += fmt::format("/{} ({})", op.name, op.child);
  if (!op.to_name.empty()) text += fmt::format(" to {}/{}", op.to, op.to_name);
  if (op.range.offset + op.range.length > 0) {
    text += fmt::format(" {}+{}", op.range.offset, op.range.length);
  }
  if (op.synced) text += " synced";
  return text + fmt::format("  {}:{}", BaseName(op.site.file_name()), op.site.line());
}

Recorder::Recorder(const std::string& root) {
  struct stat info;
  CHECK(stat(root.c_str(), &info) == 0) << root;
  by_inode_[info.st_ino] = 0;
}

uint64_t Recorder::clock() const {
  const std::lock_guard lock(mutex_);
  return clock_;
}

void Recorder::Hold(bool held) {
  const std::lock_guard lock(mutex_);
  held_ = held;
}

std::optional<int64_t> Recorder::Before(sys::Call& call) {
  const std::lock_guard lock(mutex_);
  if (held_) {
    call.tag = 0;
    return -EIO;
  }
  call.tag = ++clock_;
  if (call.op == sys::Op::kSync) return 0;
  return std::nullopt;
}

void Recorder::After(const sys::Call& call, int64_t result) {
  const std::lock_guard lock(mutex_);
  if (call.tag == 0 || result < 0) return;
  ++clock_;
  if (call.op <= sys::Op::kRename) {
    if (call.fd != AT_FDCWD) Names(call, result);
  } else if (call.op <= sys::Op::kSync) {
    Contents(call, result);
  }
}

NodeId Recorder::NodeOf(int fd) const {
  struct stat info;
  CHECK(fstat(fd, &info) == 0);
  const auto found = by_inode_.find(info.st_ino);
  CHECK(found != by_inode_.end()) << "a descriptor of nothing that was seen to be opened";
  return found->second;
}

NodeId Recorder::Child(NodeId directory, const std::string& name) const {
  const auto names = names_.find(directory);
  if (names == names_.end()) return 0;
  const auto found = names->second.find(name);
  return found == names->second.end() ? 0 : found->second;
}

void Recorder::Push(const sys::Call& call, DiskOp op) {
  op.begun = call.tag;
  op.ended = clock_;
  op.site = call.site;
  ops_.push_back(std::move(op));
}

// Whether it has made the file is told by the names that there were.
void Recorder::Opened(const sys::Call& call, int fd) {
  const std::string name = call.name;
  if (name == ".") return;
  struct stat info;
  CHECK(fstat(fd, &info) == 0);
  const NodeId directory = NodeOf(call.fd);
  NodeId child = Child(directory, name);
  if (child == 0) {
    CHECK(call.flags & O_CREAT) << name << " was made by nobody";
    child = nodes_++;
    names_[directory][name] = child;
    Push(call, {.kind = Kind::kMakeFile, .node = directory, .name = name, .child = child});
  }
  by_inode_[info.st_ino] = child;  // The file system uses numbers again.
}

void Recorder::Names(const sys::Call& call, int64_t result) {
  if (call.op == sys::Op::kOpen) return Opened(call, static_cast<int>(result));
  const NodeId directory = NodeOf(call.fd);
  const std::string name = call.name;
  if (call.op == sys::Op::kMakeDir) {
    const NodeId child = names_[directory][name] = nodes_++;
    return Push(call, {.kind = Kind::kMakeDir, .node = directory, .name = name, .child = child});
  }
  const NodeId child = names_.at(directory).at(name);
  if (call.op == sys::Op::kUnlink) {
    names_[directory].erase(name);
    return Push(call, {.kind = Kind::kUnlink, .node = directory, .name = name, .child = child});
  }
  const NodeId to = NodeOf(call.to_fd);
  const std::string to_name = call.to_name;
  names_[to][to_name] = child;
  if (call.op == sys::Op::kLink) {
    return Push(call, {.kind = Kind::kLink, .node = to, .name = to_name, .child = child});
  }
  names_[directory].erase(name);
  Push(call, {.kind = Kind::kRename,
              .node = directory,
              .name = name,
              .child = child,
              .to = to,
              .to_name = to_name});
}

void Recorder::Contents(const sys::Call& call, int64_t result) {
  const NodeId node = NodeOf(call.op == sys::Op::kCopy ? call.to_fd : call.fd);
  const ByteRange range{call.offset, call.length};
  switch (call.op) {
    case sys::Op::kSync:
      return Push(call, {.kind = Kind::kSync, .node = node});
    case sys::Op::kTruncate:
      return Push(call,
                  {.kind = Kind::kSize, .node = node, .range = {call.offset, 0}, .cuts = true});
    case sys::Op::kAllocate: {
      if ((call.flags & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) {
        Push(call, {.kind = Kind::kZero, .node = node, .range = range});
      }
      if ((call.flags & FALLOC_FL_KEEP_SIZE) == 0) {
        Push(call, {.kind = Kind::kSize, .node = node, .range = {range.end(), 0}});
      }
      return;
    }
    case sys::Op::kWrite: {
      Bytes data(call.data, call.data + result);
      const bool synced = (call.flags & RWF_DSYNC) != 0;
      const ByteRange written{call.offset, data.size()};
      return Push(call, {.kind = Kind::kWrite,
                         .node = node,
                         .range = written,
                         .data = std::move(data),
                         .synced = synced});
    }
    case sys::Op::kCopy: {
      Bytes data(static_cast<size_t>(result));
      CHECK(pread(call.to_fd, data.data(), data.size(), static_cast<off_t>(call.offset)) == result);
      const ByteRange written{call.offset, data.size()};
      return Push(call,
                  {.kind = Kind::kWrite, .node = node, .range = written, .data = std::move(data)});
    }
    default:
      return;  // Flags: of a seal, which no scenario makes.
  }
}

}  // namespace atl
