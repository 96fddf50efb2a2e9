// SPDX-License-Identifier: Apache-2.0
//
// A whole connection without sockets: bytes in, bytes out, over a MemoryAtoll in virtual time. It
// drives the same machines as connection.cc and session.cc; unit tests, the random-bytes test and
// the fuzzer talk to it.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "kernel/nbd/catalog.h"
#include "kernel/nbd/handshake.h"
#include "kernel/nbd/limits.h"
#include "kernel/nbd/service.h"
#include "kernel/nbd/transmission.h"
#include "tests/kernel/nbd/memory_device.h"
#include "xseg/base/test_env.h"

namespace atl::nbd {

class Conversation {
 public:
  // Neither is owned.
  Conversation(TestEnv* env, MemoryAtoll* atoll) : env_(env), catalog_(atoll) { TakeOutput(); }
  ~Conversation() {
    if (device_) env_->Run(Close());
  }

  // The client says this.
  void Say(ConstSpan bytes) {
    in_.insert(in_.end(), bytes.begin(), bytes.end());
    // What a connection keeps together at most.
    CHECK(in_.size() - bytes.size() <= kReceiveBytes);
    while (!closed_ && Step()) {
    }
  }
  // What the server has answered since the last call.
  Bytes Hear() { return std::exchange(heard_, {}); }
  // The server has closed, or would.
  bool closed() const { return closed_; }
  bool in_transmission() const { return service_.has_value(); }
  std::string_view reason() const { return handshake_.reason(); }
  Device* device() { return device_.get(); }

 private:
  bool Step() { return service_ ? StepTransmission() : StepHandshake(); }

  bool StepHandshake() {
    switch (handshake_.need()) {
      case Handshake::Need::kBytes: {
        const size_t used = handshake_.Feed(in_);
        in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(used));
        TakeOutput();
        return handshake_.need() != Handshake::Need::kBytes;
      }
      case Handshake::Need::kList:
        handshake_.AnswerList(env_->Run(catalog_.List(handshake_.list_after())));
        break;
      case Handshake::Need::kExport:
        AnswerExport();
        break;
      case Handshake::Need::kTransmit:
        service_.emplace(device_.get(), &device_->buffers(), handshake_.negotiated(), false);
        break;
      case Handshake::Need::kHangUp:
        closed_ = true;
        break;
    }
    TakeOutput();
    return true;
  }

  void AnswerExport() {
    const std::string& name = handshake_.export_name();
    if (!handshake_.wants_open()) {
      return handshake_.AnswerExport(env_->Run(catalog_.Look(name)));
    }
    auto opened = env_->Run(catalog_.Open(name));
    if (!opened.ok()) return handshake_.AnswerExport(opened.status());
    device_ = std::move(opened->device);
    handshake_.AnswerExport(std::move(opened->facts));
  }

  bool StepTransmission() {
    if (!payload_.empty()) return FillPayload();
    ExportView view = service_->view();
    view.size_may_be_old = !looked_;
    const auto step = reader_.Next(in_, view);
    looked_ = step.kind == RequestReader::Step::kBeyond;
    switch (step.kind) {
      case RequestReader::Step::kBeyond:
        return env_->Run(device_->Refresh()).ok();
      case RequestReader::Step::kExecute:
        exchange_.request = step.request;
        if (step.request.type == kCmdWrite) return BeginPayload(step);
        break;
      case RequestReader::Step::kRefuse:
        exchange_.request = step.request;
        service_->Refuse(&exchange_, step.refusal.error, step.refusal.text);
        break;
      case RequestReader::Step::kDisconnect:
      case RequestReader::Step::kNonsense:
        closed_ = true;
        break;
      case RequestReader::Step::kMore:
        break;
    }
    in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(step.consumed));
    if (step.kind == RequestReader::Step::kExecute) Execute();
    if (step.kind == RequestReader::Step::kRefuse) Answer();
    return step.kind != RequestReader::Step::kMore;
  }

  bool BeginPayload(const RequestReader::Step& step) {
    exchange_.buffer = env_->Run(device_->buffers().Get(step.request.length));
    payload_ = exchange_.buffer.span();
    std::copy(step.payload.begin(), step.payload.end(), payload_.begin());
    payload_ = payload_.subspan(step.payload.size());
    in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(step.consumed));
    if (payload_.empty()) Execute();
    return true;
  }

  bool FillPayload() {
    const size_t count = std::min(payload_.size(), in_.size());
    if (count == 0) return false;
    std::copy_n(in_.begin(), count, payload_.begin());
    payload_ = payload_.subspan(count);
    in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(count));
    if (payload_.empty()) Execute();
    return true;
  }

  void Execute() {
    env_->Run(service_->Execute(&exchange_));
    Answer();
  }
  void Answer() {
    const Bytes reply = exchange_.Flatten();
    heard_.insert(heard_.end(), reply.begin(), reply.end());
    exchange_.buffer = {};
    exchange_.Clear();
  }
  void TakeOutput() {
    heard_.insert(heard_.end(), handshake_.output().begin(), handshake_.output().end());
    handshake_.output().clear();
  }
  Task<bool> Close() {
    co_await device_->Close();
    co_return true;
  }

  TestEnv* env_;
  Catalog catalog_;
  Handshake handshake_;
  std::unique_ptr<Device> device_;
  bool looked_ = false;  // How large the export is now.
  std::optional<Service> service_;
  RequestReader reader_;
  Exchange exchange_;
  MutSpan payload_;
  Bytes in_;
  Bytes heard_;
  bool closed_ = false;
};

}  // namespace atl::nbd
