// Where a configured balancer has its endpoints from, in the simulated world.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "balancing/discovery/testing/fake_name_server.h"
#include "balancing/gateway/testing/gateway_scene.h"

namespace tepal::gateway {
namespace {

using testing::HasSubstr;

TEST(GatewayDiscoverySimTest, TheNameServersAreAResolverZone) {
  const auto with = [](const std::string& dns) {
    return Concat(R"(
listeners: [{address: "127.0.0.1:80"}]
pools: {a: {endpoints: [{address: "pods:1", resolve: true}]}}
dns: {servers: ["10.0.0.53:53"], )",
                  dns, "}\nadmin: {enabled: false}\n");
  };
  Scene scene(1, with("status_zone: z"));
  const std::vector<lb::ResolverZone> zones = scene.gateway_->admin().ReadResolvers();
  ASSERT_EQ(zones.size(), 1u);
  EXPECT_EQ(zones[0].name, "z");
  EXPECT_EQ(zones[0].requests.at(0).first, "name");
  EXPECT_GE(zones[0].requests.at(0).second, 2u);  // A and AAAA; nobody is there to answer.
  EXPECT_EQ(zones[0].responses.back().first, "unknown");
  EXPECT_EQ(zones[0].responses.back().second, zones[0].requests.at(0).second);
  // Other name servers go on with the count.
  scene.Reload(with("status_zone: z, time_max: 1s"));
  const std::vector<lb::ResolverZone> later = scene.gateway_->admin().ReadResolvers();
  EXPECT_GE(later[0].requests.at(0).second, zones[0].requests.at(0).second + 2);
  EXPECT_EQ(later[0].responses.back().second, later[0].requests.at(0).second);
}

TEST(GatewayDiscoverySimTest, NamesAreLookedUpAnewWhenDnsChanges) {
  const auto with = [](const std::string& dns) {
    return Concat(R"(
listeners: [{address: "127.0.0.1:80"}]
pools: {a: {endpoints: [{address: "pods.x:1", resolve: true}]}}
admin: {enabled: false}
dns: {valid: 1h, )",
                  dns, "}\n");
  };
  Scene scene(1, kOne);
  using discovery::testing::FakeNameServer;
  const auto server = [&](uint16_t port) {
    return std::make_unique<FakeNameServer>(
        scene.world_, *scene.server_loop_,
        env::Address{env::Address::Family::kIp4, "10.0.0.53", port});
  };
  const auto first = server(53);
  const auto second = server(54);
  first->zone.addresses["pods.x"] = {"10.0.0.1"};
  second->zone.addresses["pods.x"] = {"10.0.0.2", "fd00::1"};
  const auto listed = [&] {
    std::string text;
    for (const auto& endpoint : scene.gateway_->admin().Find("a")->control->Read().endpoints) {
      if (endpoint.status.state == lb::EndpointState::kRemoved) continue;
      text += Concat(text.empty() ? "" : " ", endpoint.status.spec.address.ToString());
    }
    return text;
  };
  scene.Reload(with("servers: ['10.0.0.53']"));
  EXPECT_EQ(listed(), "10.0.0.1:1");
  scene.Reload(with("servers: ['10.0.0.53:54']"));
  EXPECT_EQ(listed(), "10.0.0.2:1 [fd00::1]:1");
  scene.Reload(with("servers: ['10.0.0.53:54'], ip6: false"));
  EXPECT_EQ(listed(), "10.0.0.2:1");
  // A server that is silent empties nothing, also when it is changed while one waits for it.
  first->zone.mood = discovery::testing::Zone::Mood::kSilent;
  scene.Reload(with("servers: ['10.0.0.53']"));
  EXPECT_EQ(listed(), "10.0.0.2:1");
  scene.Reload(with("servers: ['10.0.0.53:54']"));
  EXPECT_EQ(listed(), "10.0.0.2:1 [fd00::1]:1");
  const int asked = second->zone.asked;
  scene.world_.RunFor(60s);  // An answer is good for an hour.
  EXPECT_EQ(second->zone.asked, asked);
}

TEST(GatewayDiscoverySimTest, ANameThatIsLostKeepsItsAddresses) {
  Scene scene(1, kTwo);
  scene.names_.broken = true;
  EXPECT_THAT(scene.Reload(kTwo), HasSubstr("0 added, 0 removed, 0 changed"));
  EXPECT_EQ(scene.gateway_->admin().Find("b")->control->Read().endpoints.size(), 4u);
  std::string other = kOne;
  other.replace(other.find("10.0.0.1:2"), 10, "nowhere:22");
  EXPECT_THAT(scene.Reload(other), HasSubstr("resolving 'nowhere': unknown"));
  EXPECT_EQ(scene.gateway_->admin().pools.size(), 2u);  // Nothing was applied.
}

TEST(GatewayDiscoverySimTest, AWatchedFileIsFollowed) {
  const std::string watched = R"(
listeners: [{address: "127.0.0.1:80"}]
pools: {a: {endpoints_file: e.yaml}}
admin: {enabled: false}
)";
  Scene scene(1, watched);
  const auto count = [&] {
    return scene.gateway_->admin().Find("a")->control->Read().endpoints.size();
  };
  EXPECT_EQ(count(), 0u);
  EXPECT_TRUE(scene.gateway_->admin().Find("a")->discovered);
  scene.files_.Write("e.yaml", "endpoints: [{address: '10.0.0.1:1'}, {address: '10.0.0.1:2'}]");
  scene.world_.RunFor(1s);  // Load within a second.
  scene.Send(80, 20);
  scene.Finish();
  EXPECT_EQ(scene.failed_, 0) << scene.failure_;
  EXPECT_EQ(count(), 2u);
  for (const char* bad : {"endpoints: [{address: 'name:1'}]", "endpoint: []", "{"}) {
    scene.files_.Write("e.yaml", bad);
    scene.world_.RunFor(1s);
    EXPECT_EQ(count(), 2u) << bad;
  }
  (void)scene.files_.Remove("e.yaml");
  scene.world_.RunFor(1s);
  EXPECT_EQ(count(), 2u);
  scene.files_.Write("e.yaml", "endpoints: [{address: '10.0.0.1:2'}]");
  scene.world_.RunFor(1s);
  EXPECT_EQ(count(), 1u);
}

TEST(GatewayDiscoverySimTest, AServiceOfKubernetesIsFollowed) {
  using discovery::testing::Slice;
  using discovery::testing::SliceEndpoint;
  constexpr char kService[] = R"(
listeners: [{address: "127.0.0.1:80"}]
pools: {a: {kubernetes: {service: triton, port: http}}}
admin: {enabled: false}
)";
  Scene scene(1, kOne);
  EXPECT_THAT(scene.Reload(kService), HasSubstr("there is no way to Kubernetes"));
  const env::Address server{env::Address::Family::kIp4, "10.0.0.9", 6443};
  scene.api_.emplace(std::vector<env::EventLoop*>{scene.server_loop_}, net::HttpServer::Options(),
                     [&](env::EventLoop&) {
                       auto made = std::make_unique<discovery::testing::FakeSlices>();
                       scene.slices_ = made.get();
                       return made;
                     });
  ASSERT_TRUE(scene.api_->Listen(server).ok());
  const auto slice = [](const std::vector<std::string>& endpoints, int port) {
    return Slice(endpoints, Concat("{\"name\":\"http\",\"port\":", port, "}"));
  };
  scene.slices_->Set("one", slice({SliceEndpoint("10.0.0.1", "tt-", "pod-1")}, 1));
  scene.slices_->Set("two", slice({SliceEndpoint("10.0.0.1", "ff-")}, 2));
  scene.Restart(kService);
  const auto listed = [&] {
    std::string text;
    for (const auto& endpoint : scene.gateway_->admin().Find("a")->control->Read().endpoints) {
      text += Concat(text.empty() ? "" : " ", endpoint.status.spec.name);
    }
    return text;
  };
  EXPECT_EQ(listed(), "pod-1");
  EXPECT_TRUE(scene.gateway_->admin().Find("a")->discovered);
  scene.slices_->Set("two", slice({SliceEndpoint("10.0.0.1", "tt-", "pod-2")}, 2));
  scene.world_.RunFor(1s);  // Load within a second.
  scene.Send(80, 40);
  scene.slices_->Remove("one");  // With requests in progress, which are finished.
  scene.Finish();
  EXPECT_EQ(scene.failed_, 0) << scene.failure_;
  EXPECT_EQ(listed(), "pod-2");
  scene.slices_->Break(true);
  scene.world_.RunFor(30s);
  EXPECT_EQ(listed(), "pod-2");
  EXPECT_THAT(scene.Reload(kOne), HasSubstr("endpoints: 1 added, 0 removed"));
  EXPECT_THAT(listed(), HasSubstr("10.0.0.1:1"));
}

}  // namespace
}  // namespace tepal::gateway
