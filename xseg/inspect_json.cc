// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "xseg/inspect.h"

namespace atl {
namespace {

using Json = nlohmann::json;

Json ToJson(const LatencySnapshot& latency) {
  return {{"count", latency.count},
          {"mean_ns", latency.count == 0 ? 0 : latency.sum_ns / latency.count},
          {"p50_ns", latency.PercentileNs(0.5)},
          {"p99_ns", latency.PercentileNs(0.99)},
          {"p999_ns", latency.PercentileNs(0.999)},
          {"max_ns", latency.max_ns}};
}

Json SlotsToJson(const PortReport& port) {
  Json out = Json::object();
  for (int s = 0; s < kSlotStates; ++s) out[NameOf(static_cast<SlotState>(s))] = port.slots[s];
  return out;
}

Json BlocksToJson(const PortReport& port) {
  Json out = Json::array();
  for (int c = 0; c < kBlockClasses; ++c) {
    out.push_back({{"block_bytes", kBlockBytes[c]},
                   {"in_use", port.blocks[c].in_use},
                   {"cached", port.blocks[c].cached}});
  }
  return out;
}

Json ToJson(const PortReport& port) {
  return {{"index", port.index},
          {"name", port.name},
          {"state", port.state},
          {"pid", port.pid},
          {"incarnation", port.incarnation},
          {"owner_lives", port.owner_lives},
          {"claimed_ago_ns", port.claimed_ago_ns},
          {"sleep", port.sleep},
          {"slots", SlotsToJson(port)},
          {"waiting", port.waiting},
          {"holding", port.holding},
          {"blocks", BlocksToJson(port)},
          {"sent", ToJson(port.sent)},
          {"served", ToJson(port.served)},
          {"refused", port.refused},
          {"sleeps", port.sleeps}};
}

Json ToJson(const StuckRequest& request) {
  return {{"slot", request.slot},
          {"owner", request.owner},
          {"holder", request.holder},
          {"state", request.state},
          {"op", request.op},
          {"trace", request.trace},
          {"age_ns", request.age_ns},
          {"buffer", {{"offset", request.buffer.offset}, {"length", request.buffer.length}}}};
}

}  // namespace

Json ToJson(const TrafficSnapshot& traffic) {
  return {{"requests", traffic.requests},
          {"errors", traffic.errors},
          {"total_requests", traffic.total_requests()},
          {"total_errors", traffic.total_errors()},
          {"bytes", traffic.bytes},
          {"in_flight", traffic.in_flight},
          {"latency", ToJson(traffic.latency)}};
}

Json ToJson(const SegmentReport& report) {
  Json ports = Json::array();
  for (const PortReport& port : report.ports) ports.push_back(ToJson(port));
  Json stuck = Json::array();
  for (const StuckRequest& request : report.stuck) stuck.push_back(ToJson(request));
  Json classes = Json::array();
  for (int c = 0; c < kBlockClasses; ++c) {
    classes.push_back({{"block_bytes", kBlockBytes[c]},
                       {"blocks", report.geometry.blocks[c]},
                       {"free", report.blocks_free[c]}});
  }
  return {{"uuid", report.uuid.ToString()},     {"total_bytes", report.total_bytes},
          {"max_ports", report.geometry.ports}, {"slots_per_port", report.geometry.slots_per_port},
          {"ports", std::move(ports)},          {"stuck", std::move(stuck)},
          {"blocks", std::move(classes)}};
}

}  // namespace atl
