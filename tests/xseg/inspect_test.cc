// SPDX-License-Identifier: Apache-2.0
#include "xseg/inspect.h"

#include <fcntl.h>

#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/xseg/segment_fixture.h"
#include "xseg/reclaim.h"

namespace atl {
namespace {

std::unique_ptr<Segment> View(const Segment& segment) {
  Fd copy(fcntl(segment.fds().memory.get(), F_DUPFD_CLOEXEC, 3));
  auto view = Segment::AttachToInspect(std::move(copy));
  CHECK(view.ok()) << view.status().ToString();
  return std::move(*view);
}

bool Mentions(const std::vector<std::string>& findings, std::string_view what) {
  for (const auto& finding : findings) {
    if (finding.find(what) != std::string::npos) return true;
  }
  return false;
}

class InspectTest : public testing::Test {
 protected:
  InspectOptions Strict() { return {.stuck_after_ns = 0}; }
  std::unique_ptr<Segment> segment_ = MakeSegment();
  std::unique_ptr<Segment> view_ = View(*segment_);
  std::unique_ptr<Port> client_ = ClaimOrDie(*segment_, "client");
  std::unique_ptr<Port> server_ = ClaimOrDie(*segment_, "server");
};

TEST_F(InspectTest, ShowsPortsRequestsAndBuffers) {
  auto request = client_->Prepare(6);
  request->set_trace(99);
  request->Carry(std::move(*client_->buffers().Allocate(2 << 20)));
  client_->Submit(std::move(*request), server_->index());
  client_->Submit(std::move(*client_->Prepare(7)), server_->index());
  auto accepted = server_->Accept();
  const SegmentReport report = Inspect(*view_, Strict());
  ASSERT_EQ(report.ports.size(), 2u);
  const PortReport& client = report.ports[0];
  EXPECT_EQ(client.name, "client");
  EXPECT_EQ(client.state, "active");
  EXPECT_EQ(client.pid, static_cast<uint32_t>(getpid()));
  EXPECT_TRUE(client.owner_lives);
  EXPECT_EQ(client.slots[static_cast<int>(SlotState::kFree)], 62u);
  EXPECT_EQ(client.slots[static_cast<int>(SlotState::kSubmitted)], 1u);
  EXPECT_EQ(client.slots[static_cast<int>(SlotState::kAccepted)], 1u);
  EXPECT_EQ(client.blocks[2].in_use, 2u);
  EXPECT_EQ(client.sent.in_flight, 2u);
  EXPECT_EQ(report.ports[1].waiting, 1u);
  EXPECT_EQ(report.ports[1].holding, 1u);
  ASSERT_EQ(report.stuck.size(), 2u);
  EXPECT_EQ(report.stuck[0].op, 6);
  EXPECT_EQ(report.stuck[0].trace, 99u);
  EXPECT_EQ(report.stuck[0].state, "accepted");
  EXPECT_EQ(report.stuck[0].buffer.length, 2u << 20);
  EXPECT_EQ(report.blocks_free[2], 38u);
  EXPECT_TRUE(Inspect(*view_, {}).stuck.empty());
  EXPECT_TRUE(CheckSegment(*view_, Strict()).empty());
}

TEST_F(InspectTest, RendersAsJson) {
  client_->Submit(std::move(*client_->Prepare(1)), server_->index());
  const nlohmann::json json = ToJson(Inspect(*view_, Strict()));
  const auto again = nlohmann::json::parse(json.dump());
  EXPECT_EQ(again["ports"][0]["name"], "client");
  EXPECT_EQ(again["ports"][0]["slots"]["submitted"], 1);
  EXPECT_EQ(again["stuck"][0]["state"], "submitted");
  EXPECT_EQ(again["ports"][0]["sent"]["in_flight"], 1);
  EXPECT_EQ(again["blocks"][2]["block_bytes"], kMiB);
}

TEST_F(InspectTest, CheckFindsWhatCannotBeRight) {
  EXPECT_TRUE(CheckSegment(*view_, Strict()).empty());
  const auto& findings = [&] { return CheckSegment(*view_, Strict()); };
  SlotRecord& slot = segment_->slot(5);
  slot.word.store(99);
  EXPECT_TRUE(Mentions(findings(), "slot 5 is in state 99"));
  slot.StoreWord({SlotState::kAccepted, 60, 1});
  EXPECT_TRUE(Mentions(findings(), "held by port 60"));
  slot.StoreWord({SlotState::kPrepared, kNoPort, 1});
  slot.buffer_offset.Store(~0ull);
  slot.buffer_length.Store(5);
  EXPECT_TRUE(Mentions(findings(), "outside of the area"));
  slot.StoreWord({});
  segment_->slot(segment_->first_slot(6)).StoreWord({SlotState::kPrepared, kNoPort, 1});
  EXPECT_TRUE(Mentions(findings(), "its port 6 is free"));
  segment_->block_words(0)[3].store(BlockWord{5, BlockUse::kInUse}.Pack());
  EXPECT_TRUE(Mentions(findings(), "belongs to port 5"));
  segment_->block_words(0)[3].store(0x55000001);
  EXPECT_TRUE(Mentions(findings(), "makes no sense"));
  segment_->port(3).control.store(77);
  EXPECT_TRUE(Mentions(findings(), "port 3 is in state 77"));
  segment_->port(4).StoreName("client");
  segment_->port(4).control.store(segment_->port(0).control.load());
  EXPECT_TRUE(Mentions(findings(), "same name 'client'"));
  EXPECT_TRUE(Mentions(findings(), "which is dead") == false);
  segment_->port(4).control.store(PortControl{PortState::kActive, 0xFFFFFF, 1}.Pack());
  EXPECT_TRUE(Mentions(findings(), "which is dead"));
}

TEST_F(InspectTest, CheckFindsALostRing) {
  // The one by the express word, the other by the mailbox.
  for (int i = 0; i < 2; ++i) {
    client_->Submit(std::move(*client_->Prepare(1)), server_->index());
  }
  HotLine& hot = segment_->port(server_->index()).hot;
  hot.sleeping.store(1);
  const auto findings = CheckSegment(*view_, Strict());
  for (const char* slot : {"slot 0", "slot 1"}) {
    EXPECT_TRUE(Mentions(findings, std::string("sleeps, although ") + slot)) << slot;
  }
}

TEST_F(InspectTest, RandomDamageNeverCrashesIt) {
  const char* given = std::getenv("ATOLL_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "ATOLL_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  const size_t metadata = segment_->layout().area_at;
  const auto start = std::chrono::steady_clock::now();
  size_t findings = 0;
  while (std::chrono::steady_clock::now() - start < std::chrono::seconds(1)) {
    for (int i = 0; i < 200; ++i) {
      segment_->raw()[random() % metadata] = static_cast<std::byte>(random());
    }
    auto options = Strict();
    options.look_at_processes = random() % 8 == 0;
    (void)ToJson(Inspect(*view_, options)).dump();
    findings += CheckSegment(*view_, options).size();
  }
  EXPECT_GT(findings, 0u);
  // Attaching to what is left is a Status or a segment.
  Fd copy(fcntl(segment_->fds().memory.get(), F_DUPFD_CLOEXEC, 3));
  (void)Segment::AttachToInspect(std::move(copy)).ok();
  client_->Vanish();
  server_->Vanish();
}

TEST_F(InspectTest, PeersGoOnWhileItLooks) {
  std::atomic<bool> stop{false};
  std::thread inspector([&] {
    while (!stop) {
      (void)Inspect(*view_, Strict());
      (void)CheckSegment(*view_, Strict());
    }
  });
  for (int i = 0; i < 20'000; ++i) {
    client_->Submit(std::move(*client_->Prepare(1)), server_->index());
    server_->Respond(std::move(*server_->Accept()), Code::kOk, 0);
    EXPECT_TRUE(client_->Collect());
  }
  stop = true;
  inspector.join();
}

}  // namespace
}  // namespace atl
