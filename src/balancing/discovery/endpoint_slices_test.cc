#include "balancing/discovery/endpoint_slices.h"

#include <gtest/gtest.h>

#include "balancing/discovery/testing/fake_slices.h"
#include "core/base/text.h"

namespace tepal::discovery {
namespace {

using testing::Slice;
using testing::SliceEndpoint;

constexpr char kPorts[] =
    R"({"name":"http","port":8000,"protocol":"TCP"},{"name":"grpc","port":8001})";

std::string Read(const std::vector<std::string>& slices, const KubeService& service = {}) {
  std::map<std::string, kube::Object> objects;
  for (const std::string& slice : slices) {
    auto parsed = json::Parse("{" + slice + "}");
    EXPECT_TRUE(parsed.ok()) << slice;
    objects[Concat("ns/s", objects.size())] =
        std::make_shared<const json::Value>(*std::move(parsed));
  }
  const KubeFound found = ReadEndpointSlices(objects, service);
  std::string text;
  for (const KubeFound::One& one : found.endpoints) {
    text += Concat(text.empty() ? "" : " ", one.address.ToString());
    if (one.grpc_port != 0) text += Concat("/", one.grpc_port);
    if (!one.name.empty()) text += Concat("(", one.name, ")");
  }
  if (found.not_ready > 0) text += Concat(" and ", found.not_ready);
  return text;
}

TEST(EndpointSlicesTest, SlicesAreMergedAndAnAddressCountsOnce) {
  EXPECT_EQ(Read({}), "");
  EXPECT_EQ(Read({Slice({}, kPorts)}), "");
  EXPECT_EQ(Read({Slice({SliceEndpoint("10.0.0.2", "tt-", "b"), SliceEndpoint("10.0.0.1")}, kPorts),
                  Slice({SliceEndpoint("10.0.0.3")}, kPorts)}),
            "10.0.0.1:8000 10.0.0.2:8000(b) 10.0.0.3:8000");
  // As it is moved from one slice to another; the better news counts, whichever comes first.
  EXPECT_EQ(Read({Slice({SliceEndpoint("10.0.0.1", "ff-")}, kPorts),
                  Slice({SliceEndpoint("10.0.0.1", "tt-")}, kPorts),
                  Slice({SliceEndpoint("10.0.0.1", "ftt")}, kPorts)}),
            "10.0.0.1:8000");
}

TEST(EndpointSlicesTest, PortsByNameByNumberOrTheFirst) {
  const std::vector<std::string> slice = {Slice({SliceEndpoint("10.0.0.1")}, kPorts)};
  KubeService service;
  EXPECT_EQ(Read(slice, service), "10.0.0.1:8000");
  service.port = "grpc";
  EXPECT_EQ(Read(slice, service), "10.0.0.1:8001");
  service.port = "9000";
  service.grpc_port = "grpc";
  EXPECT_EQ(Read(slice, service), "10.0.0.1:9000/8001");
  service.port = "metrics";
  EXPECT_EQ(Read(slice, service), "");
}

TEST(EndpointSlicesTest, ConditionsAreHeeded) {
  const auto read = [](const std::vector<std::string>& endpoints) {
    return Read({Slice(endpoints, kPorts)});
  };
  EXPECT_EQ(read({SliceEndpoint("10.0.0.1", "---")}), "10.0.0.1:8000");  // As the API says.
  EXPECT_EQ(read({SliceEndpoint("10.0.0.1", "tt-"), SliceEndpoint("10.0.0.2", "ff-"),
                  SliceEndpoint("10.0.0.3", "ftt")}),
            "10.0.0.1:8000 and 2");
  // Nobody is ready: who still serves while it ends is better than nobody.
  EXPECT_EQ(read({SliceEndpoint("10.0.0.2", "ff-"), SliceEndpoint("10.0.0.3", "ftt"),
                  SliceEndpoint("10.0.0.4", "fft")}),
            "10.0.0.3:8000 and 2");
  EXPECT_EQ(read({SliceEndpoint("10.0.0.2", "f--")}), " and 1");
}

TEST(EndpointSlicesTest, OneFamilyOfADualStackServiceIsUsed) {
  const std::string ip4 = Slice({SliceEndpoint("10.0.0.1")}, kPorts);
  const std::string ip6 = Slice({SliceEndpoint("fd00::1")}, kPorts, "IPv6");
  const std::string names = Slice({SliceEndpoint("a.example")}, kPorts, "FQDN");
  KubeService service;
  EXPECT_EQ(Read({ip4, ip6, names}, service), "10.0.0.1:8000");
  EXPECT_EQ(Read({ip6, names}, service), "[fd00::1]:8000");
  service.family = KubeService::Family::kIp6;
  EXPECT_EQ(Read({ip4, ip6}, service), "[fd00::1]:8000");
  service.family = KubeService::Family::kIp4;
  EXPECT_EQ(Read({ip6}, service), "");
}

TEST(EndpointSlicesTest, WhatMakesNoSenseIsLeftOut) {
  for (const char* odd :
       {"\"addressType\":7", "\"addressType\":\"IPv4\"",
        "\"addressType\":\"IPv4\",\"ports\":3,\"endpoints\":[{}]",
        "\"addressType\":\"IPv4\",\"ports\":[{\"port\":99999}],\"endpoints\":[{}]",
        "\"addressType\":\"IPv4\",\"ports\":[{\"port\":80}],\"endpoints\":[{\"addresses\":[1]},"
        "7]"}) {
    EXPECT_EQ(Read({odd}), "") << odd;
  }
}

}  // namespace
}  // namespace tepal::discovery
