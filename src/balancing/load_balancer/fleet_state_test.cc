#include "balancing/load_balancer/fleet_state.h"

#include <gtest/gtest.h>

#include "balancing/load_balancer/state_json.h"
#include "core/base/text.h"
#include "core/json/value.h"

namespace tepal::lb {
namespace {

FleetMember Member(std::string address, std::vector<FleetPool> pools) {
  FleetMember member;
  member.address = std::move(address);
  member.name = "host";
  member.pools = std::move(pools);
  return member;
}

FleetPool Pool(std::vector<std::pair<std::string, std::string>> states) {
  FleetPool pool;
  pool.upstream = "p";
  pool.rate_1s = 10;
  for (auto& [address, state] : states)
    pool.endpoints.push_back({address, "n" + address, state, 5});
  return pool;
}

// What FleetJson says of each endpoint: "a=up,ejected!", '!' where they differ.
std::string Seen(const std::vector<FleetMember>& members) {
  const std::string json = FleetJson(members);
  const auto value = json::Parse(json);
  EXPECT_TRUE(value.ok()) << json;
  std::string text;
  for (const json::Value& pool : *value->Find("pools")->AsArray()) {
    for (const json::Value& endpoint : *pool.Find("endpoints")->AsArray()) {
      text += Concat(text.empty() ? "" : " ", *endpoint.Find("address")->AsString(), "=");
      for (const json::Value& state : *endpoint.Find("states")->AsArray()) {
        text += Concat(text.ends_with('=') ? "" : ",", state.is_null() ? "-" : *state.AsString());
      }
      if (*endpoint.Find("differs")->AsBool()) text += "!";
    }
  }
  return text;
}

TEST(FleetStateTest, BalancersDifferAboutWhoIsUp) {
  EXPECT_EQ(Seen({Member("", {Pool({{"a", "up"}, {"b", "up"}})}),
                  Member("x", {Pool({{"b", "ejected"}, {"a", "up"}})})}),
            "a=up,up b=up,ejected!");
  // Not used by anybody, for whatever reason: they agree.
  EXPECT_EQ(Seen({Member("", {Pool({{"a", "unhealthy"}})}), Member("x", {Pool({{"a", "down"}})})}),
            "a=unhealthy,down");
  // One does not have it; one does not have the pool; one has not answered.
  FleetMember silent;
  silent.address = "z";
  silent.error = "no answer";
  EXPECT_EQ(Seen({Member("", {Pool({{"a", "up"}})}), Member("x", {Pool({})}), silent}),
            "a=up,-,-!");
  EXPECT_EQ(Seen({Member("", {Pool({{"a", "up"}})}), Member("x", {}), silent}), "a=up,-,-");
  // Gone is as good as not there.
  EXPECT_EQ(Seen({Member("", {Pool({{"a", "removed"}})}), Member("x", {Pool({})})}), "");
}

TEST(FleetStateTest, MembersAreSummedUp) {
  FleetPool first = Pool({{"a", "up"}, {"b", "ejected"}}), second = first;
  second.upstream = "q";
  first.latency_p99_ms = 3;
  first.in_flight = 1;
  second.waiting = 2;
  FleetMember silent;
  silent.address = "http://z:1";
  silent.error = "no \"answer\"";
  constexpr std::string_view kMembers =
      R"({"members":[{"address":"","self":true,"error":"","name":"host","uptime_s":0.0,)"
      R"("rate_1s":20.0,"in_flight":1,"waiting":2,"latency_p99_ms":3.0,"up":2,"endpoints":4},)"
      R"({"address":"http://z:1","self":false,"error":"no \"answer\"","name":"","uptime_s":0.0,)"
      R"("rate_1s":0.0,"in_flight":0,"waiting":0,"latency_p99_ms":null,"up":0,"endpoints":0}],)";
  EXPECT_EQ(FleetJson({Member("", {first, second}), silent}).substr(0, kMembers.size()), kMembers);
}

TEST(FleetStateTest, ReadsWhatABalancerSaysOfItself) {
  BalancerState state;
  state.upstream = "p";
  state.rate_1s = 7;
  state.in_flight = 2;
  state.waiting = 3;
  state.latency_p99 = 4ms;
  state.started = WallTime(100s);
  state.wall_now = WallTime(160s);
  EndpointReading endpoint;
  endpoint.status.spec.address = {env::Address::Family::kIp4, "10.0.0.1", 8000};
  endpoint.status.spec.name = "left";
  endpoint.status.state = EndpointState::kEjected;
  endpoint.rate_1s = 6;
  state.endpoints.push_back(endpoint);
  const auto member = ReadFleetMember(PoolsJson({state}, "", {"host", "1f", true}, {"ops", ""}));
  ASSERT_TRUE(member.ok()) << member.status().message();
  EXPECT_EQ(member->name, "host");
  EXPECT_EQ(member->instance, "1f");
  EXPECT_EQ(member->uptime_s, 60);
  ASSERT_EQ(member->pools.size(), 1u);
  const FleetPool& pool = member->pools[0];
  EXPECT_EQ(pool.upstream, "p");
  EXPECT_EQ(pool.rate_1s, 7);
  EXPECT_EQ(pool.in_flight, 2u);
  EXPECT_EQ(pool.waiting, 3u);
  EXPECT_EQ(pool.latency_p99_ms, 4);
  ASSERT_EQ(pool.endpoints.size(), 1u);
  EXPECT_EQ(pool.endpoints[0].address, "10.0.0.1:8000");
  EXPECT_EQ(pool.endpoints[0].name, "left");
  EXPECT_EQ(pool.endpoints[0].state, "ejected");
  EXPECT_EQ(pool.endpoints[0].rate_1s, 6);
}

TEST(FleetStateTest, WhatIsWrongIsNamed) {
  const auto error = [](std::string_view text) {
    const auto member = ReadFleetMember(text);
    return member.ok() ? "" : member.status().message();
  };
  const std::string head = R"({"balancer":{"name":"n","instance":"i"},)";
  EXPECT_NE(error(""), "");
  EXPECT_NE(error("<html>"), "");
  EXPECT_EQ(error("[]"), "balancer: expected an object");
  EXPECT_EQ(error(R"({"balancer":{"name":"n"}})"), "balancer.instance: expected a text");
  EXPECT_EQ(error(head + R"("pools":{}})"), "pools: expected a list");
  EXPECT_EQ(error(head + R"("pools":[{"upstream":"p","uptime_s":"long"}]})"),
            "pools[0].uptime_s: expected a number below 1e+15");
  const std::string pool = head + R"("pools":[{"upstream":"p","uptime_s":1,"rate_1s":1,)";
  EXPECT_EQ(error(pool + R"("in_flight":-1}]})"),
            "pools[0].in_flight: expected a number from 0 on");
  EXPECT_EQ(error(pool + R"("in_flight":1}]})"), "pools[0].queue: expected an object");
  EXPECT_EQ(error(pool + R"("in_flight":1,"queue":{"length":0},"endpoints":[{"address":"a",)"
                         R"("name":"n","state":7}]}]})"),
            "pools[0].endpoints[0].state: expected a text");
  EXPECT_EQ(error(head + R"("pools":[]})"), "");
}

}  // namespace
}  // namespace tepal::lb
