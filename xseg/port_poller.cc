// SPDX-License-Identifier: Apache-2.0
#include "xseg/port_poller.h"

namespace atl {
namespace {

// A turn takes so many of each kind, so that nothing else in the executor starves.
constexpr int kBatch = 64;

}  // namespace

PortPoller::PortPoller(Env* env, Port* port, OnRequest on_request)
    : env_(env),
      port_(port),
      on_request_(std::move(on_request)),
      calls_(port->segment().geometry().slots_per_port) {
  port_->DeferRings();
  env_->AddPoller(this);
}

PortPoller::~PortPoller() {
  env_->RemovePoller(this);
  port_->RingDeferred();
}

bool PortPoller::Preparer::TryNow() {
  auto prepared = poller->port_->Prepare(op);
  if (!prepared) return false;
  request = std::move(*prepared);
  return true;
}

bool PortPoller::Poll() {
  bool any = CollectSome();
  any |= AcceptSome();
  any |= PrepareSome();
  port_->RingDeferred();
  return any;
}

bool PortPoller::PrepareSleep() {
  if (PrepareSome()) return false;
  port_->RingDeferred();
  return port_->PrepareSleep();
}

bool PortPoller::AcceptSome() {
  for (int i = 0; i < kBatch; ++i) {
    auto request = port_->Accept();
    if (!request) return i > 0;
    if (on_request_) {
      on_request_(std::move(*request));
    } else {
      port_->Respond(std::move(*request), Code::kUnsupported, 0);
    }
  }
  return true;
}

bool PortPoller::CollectSome() {
  for (int i = 0; i < kBatch; ++i) {
    auto answer = port_->Collect();
    if (!answer) return i > 0;
    calls_.Deliver(*answer);  // Nobody waits any more: the token drops it.
  }
  return true;
}

bool PortPoller::PrepareSome() {
  bool any = false;
  while (!preparing_.empty() && preparing_.front()->TryNow()) {
    Scheduler::Current().Post(preparing_.front()->handle);
    ++resuming_;
    preparing_.pop_front();
    any = true;
  }
  return any;
}

}  // namespace atl
