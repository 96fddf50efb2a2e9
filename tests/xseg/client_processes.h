// SPDX-License-Identifier: Apache-2.0
//
// Outside clients that are processes of their own, with what such a client really has: one socket
// to the server. One of them may do what it likes; another one goes on with checked work meanwhile.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "xseg/base/crc32c.h"
#include "xseg/base/executor.h"
#include "xseg/base/units.h"
#include "xseg/client_poller.h"

namespace atl {

inline constexpr uint16_t kEcho = 1;
inline constexpr uint16_t kSlow = 2;  // The same, and takes 2 ms.
inline constexpr uint16_t kMaxOp = kSlow;
inline constexpr ClientGeometry kGeometry{.slots = 64, .blocks = {32, 8, 2}};
inline constexpr int64_t kPatience = 60 * kSecond;

// Exit codes of a client.
inline constexpr int kDone = 0;
inline constexpr int kNoSegment = 10;
inline constexpr int kWrongAnswer = 11;
inline constexpr int kNoAnswer = 12;
inline constexpr int kNotCutOff = 13;
inline constexpr int kSeesTooMuch = 14;

// Of the test, not of the clients' connection.
struct Control {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> rounds{0};  // Of the client that keeps to the rules.
  std::atomic<bool> ready{false};   // The other one has done what it came for.
};

// --- The clients.

using Behaviour = std::function<int(ClientPort&, Control&)>;

// Eight requests at a time, each with a buffer whose bytes must come back inverted.
inline int KeepToTheRules(ClientPort& port, Control& control) {
  std::mt19937_64 random(1);
  AdaptiveSpin spin(0);
  while (!control.stop) {
    for (int i = 0; i < 8; ++i) {
      auto request = port.Prepare(i == 0 ? kSlow : kEcho);
      auto buffer = port.buffers().Allocate(1 + random() % (16 * kKiB));
      if (!request || !buffer) return kWrongAnswer;
      for (std::byte& byte : buffer->bytes()) byte = static_cast<std::byte>(random());
      const uint32_t sum = Crc32c(buffer->bytes());
      request->SetArguments(std::as_bytes(std::span(&sum, 1)));
      request->Carry(std::move(*buffer));
      port.Submit(std::move(*request));
    }
    for (int answers = 0; answers < 8;) {
      auto answer = port.Collect();
      if (!answer) {
        if (!port.Wait(spin, kPatience)) return kNoAnswer;
        continue;
      }
      ++answers;
      uint32_t sum = 0;
      std::memcpy(&sum, answer->arguments().data(), sizeof(sum));
      const SharedBuffer buffer = answer->TakeBuffer();
      for (std::byte& byte : buffer.bytes()) byte = ~byte;
      if (answer->code() != Code::kOk || Crc32c(buffer.bytes()) != sum) return kWrongAnswer;
    }
    ++control.rounds;
  }
  return kDone;
}

// In the child: with nothing but its end of the socket, as if it had been started by itself.
[[noreturn]] inline void BeClient(int socket, Control* control, const Behaviour& behave) {
  close_range(3, static_cast<unsigned>(socket) - 1, 0);
  close_range(static_cast<unsigned>(socket) + 1, ~0u, 0);
  auto port = ClientPort::Receive(socket);
  if (!port.ok()) _exit(kNoSegment);
  _exit(behave(**port, *control));
}

// --- The server.

struct Guest {
  std::unique_ptr<ClientSession> session;
  std::unique_ptr<ClientSessionPoller> poller;
  Status end;
};

class Server {
 public:
  explicit Server(Executor* executor) : executor_(executor) {}

  void Admit(int socket) {
    auto guest = std::make_unique<Guest>();
    guest->session = *ClientSession::Create(
        {.geometry = kGeometry, .max_op = kMaxOp, .max_buffer_bytes = 64 * kKiB});
    CHECK(guest->session->Offer(socket).ok());
    Guest* const raw = guest.get();
    guest->poller = std::make_unique<ClientSessionPoller>(
        executor_, raw->session.get(),
        [this, raw](ClientRequest request) {
          Spawn(Serve(raw->session.get(), std::move(request)));
        },
        [raw](Status status) { raw->end = std::move(status); });
    guests_.push_back(std::move(guest));
  }
  // Ends the sessions that are over and have nothing in service; why the last one ended.
  void Sweep(Status* end) {
    std::erase_if(guests_, [end](const auto& guest) {
      if (guest->end.ok() || guest->session->in_service() > 0) return false;
      *end = guest->end;
      return true;
    });
  }
  size_t guests() const { return guests_.size(); }

 private:
  Task<void> Serve(ClientSession* session, ClientRequest request) {
    if (request.op() == kSlow) co_await executor_->Sleep(2 * kMillisecond);
    for (std::byte& byte : request.buffer()) byte = ~byte;
    const Bytes answer(request.arguments().begin(), request.arguments().end());
    session->Respond(std::move(request), Code::kOk, 0, answer);
  }

  Executor* executor_;
  std::vector<std::unique_ptr<Guest>> guests_;
};

inline size_t OpenDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

inline size_t MappedSegments(std::string_view name) {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(name) != line.npos;
  return count;
}

class HostileProcessTest : public testing::Test {
 protected:
  struct Child {
    pid_t pid = -1;
    Fd socket;
  };

  ~HostileProcessTest() override {
    for (const pid_t pid : running_) kill(pid, SIGKILL);
    for (const pid_t pid : running_) waitpid(pid, nullptr, 0);
    munmap(control_, sizeof(Control));
  }

  // Before there is a session: the child must inherit none.
  Child Fork(const Behaviour& behave) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    Fd server_end(ends[0]);
    const Fd client_end(ends[1]);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) BeClient(client_end.get(), control_, behave);
    running_.push_back(pid);
    return {pid, std::move(server_end)};
  }
  int Join(pid_t pid) {
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    std::erase(running_, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  // Lets the hostile client in beside the honest one, and returns why its session ended. With
  // `kills` it ends because it was killed after it was ready.
  Status Suffer(const Behaviour& behave, bool kills, int* exit_code) {
    Child honest = Fork(KeepToTheRules);
    Child hostile = Fork(behave);
    Executor executor;
    Server server(&executor);
    Status end;
    const auto watch = [&]() -> Task<void> {
      server.Admit(honest.socket.get());
      co_await Rounds(&executor, 10);
      const size_t descriptors = OpenDescriptors();
      server.Admit(hostile.socket.get());
      for (int64_t waited = 0; server.guests() > 1 && waited < kPatience; waited += kPause) {
        if (kills && control_->ready) kill(hostile.pid, SIGKILL);
        co_await executor.Sleep(kPause);
        server.Sweep(&end);
      }
      EXPECT_EQ(server.guests(), 1u) << "it was not cut off";
      co_await Rounds(&executor, 10);
      EXPECT_EQ(OpenDescriptors(), descriptors);
      EXPECT_EQ(MappedSegments("atoll-client"), 1u);
      control_->stop = true;
      for (int64_t waited = 0; server.guests() > 0 && waited < kPatience; waited += kPause) {
        co_await executor.Sleep(kPause);
        Status honest_end;
        server.Sweep(&honest_end);
      }
    };
    executor.RunUntilDone(watch());
    EXPECT_EQ(Join(honest.pid), kDone) << "the honest client was disturbed";
    *exit_code = Join(hostile.pid);
    return end;
  }
  // It is told that it misbehaves, or rather hears that the server has gone.
  void ExpectCutOff(const Behaviour& behave, std::string_view reason) {
    int exit_code = -1;
    const Status end = Suffer(behave, false, &exit_code);
    EXPECT_EQ(end.code(), Code::kInvalid);
    EXPECT_NE(end.message().find(reason), std::string_view::npos) << end.ToString();
    EXPECT_EQ(exit_code, kDone);
  }
  void ExpectDeathIsNoticed(const Behaviour& behave, bool kills = false) {
    int exit_code = kDone;
    EXPECT_EQ(Suffer(behave, kills, &exit_code).code(), Code::kUnavailable);
    EXPECT_EQ(exit_code, -SIGKILL);
  }

 private:
  static constexpr int64_t kPause = 5 * kMillisecond;

  // The honest client gets on.
  Task<void> Rounds(Executor* executor, uint64_t count) {
    const uint64_t wanted = control_->rounds + count;
    for (int64_t waited = 0; control_->rounds < wanted && waited < kPatience; waited += kPause) {
      co_await executor->Sleep(kPause);
    }
    EXPECT_GE(control_->rounds, wanted) << "the honest client does not get on";
  }

  Control* control_ = new (mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Control();
  std::vector<pid_t> running_;
};

}  // namespace atl
