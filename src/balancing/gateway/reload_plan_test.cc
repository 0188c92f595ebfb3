#include "balancing/gateway/reload_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tepal::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

env::Address At(uint16_t port) { return {env::Address::Family::kIp4, "0.0.0.0", port}; }

GatewayConfig Running() {
  GatewayConfig config;
  config.pools.resize(2);
  config.pools[0].name = "http";
  config.pools[1].name = "grpc";
  config.listeners = {{At(80), "http"}, {At(89), "grpc"}};
  return config;
}

TEST(ReloadPlanTest, TheSameIsNothing) {
  const ReloadPlan plan = PlanReload(Running(), Running());
  EXPECT_THAT(plan.restart, IsEmpty());
  EXPECT_THAT(plan.added, IsEmpty());
  EXPECT_THAT(plan.removed, IsEmpty());
  EXPECT_THAT(plan.listeners, IsEmpty());
  EXPECT_TRUE(NeedsRestart(plan).ok());
}

TEST(ReloadPlanTest, WhatCanChangeWhileItRunsIsApplied) {
  GatewayConfig next = Running();
  next.pools[0].pool.policy = lb::ChoicePolicy::kRoundRobin;
  next.pools[0].pool.health.path = "/other";
  next.pools[0].endpoints.resize(3);
  next.pools[0].hash_key = lb::HashKey::Parse("path").value();
  next.pools[1].tries.tries_max = 5;
  next.pools[1].tries.allow_replica_changes = true;
  next.pools[1].tries.replay_total_bytes_max = 1u << 30;
  next.pools[1].auth = AuthConfig{"users", "", {}};
  next.limits.connections_max = 1;
  next.dns.time_max = 1s;
  next.drain_time_max = 1s;
  EXPECT_TRUE(NeedsRestart(PlanReload(Running(), next)).ok());
}

TEST(ReloadPlanTest, PoolsAndListenersComeAndGo) {
  GatewayConfig next = Running();
  next.pools[1].name = "spare";
  next.listeners = {{At(80), "http"}, {At(81), "http"}, {At(90), "spare"}};
  const ReloadPlan plan = PlanReload(Running(), next);
  EXPECT_THAT(plan.restart, IsEmpty());
  EXPECT_THAT(plan.added, ElementsAre("spare"));
  EXPECT_THAT(plan.removed, ElementsAre("grpc"));
  EXPECT_THAT(plan.listeners,
              ElementsAre(ListenerConfig{At(81), "http"}, ListenerConfig{At(90), "spare"}));
}

TEST(ReloadPlanTest, WhatNeedsARestartIsNamed) {
  GatewayConfig next = Running();
  next.listeners = {{At(80), "grpc"}};
  next.admin.reset();
  next.access_log = "stdout";
  next.threads = 4;
  next.pools[1].client_tls = net::TlsSource::ServerFiles{"c.pem", "k.pem", ""};
  const ReloadPlan plan = PlanReload(Running(), next);
  EXPECT_THAT(plan.restart,
              ElementsAre("TLS of pool grpc", "listeners: 0.0.0.0:80 changed",
                          "listeners: 0.0.0.0:89 removed", "admin", "access_log", "threads"));
  const Status status = NeedsRestart(plan);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("nothing was applied; a restart is needed for "
                                          "TLS of pool grpc, "));
}

TEST(ReloadPlanTest, RolesOfCertificatesChangeAndTheAdminServersFilesDoNot) {
  GatewayConfig running = Running();
  running.admin_tls = AdminTlsConfig{{"c.pem", "k.pem", "a.pem"}, {{"ann"}, {}}};
  GatewayConfig next = running;
  next.admin_tls->roles = {{"bob"}, {"ann"}};
  EXPECT_TRUE(NeedsRestart(PlanReload(running, next)).ok());
  next.admin_tls->files.client_required = false;
  EXPECT_THAT(PlanReload(running, next).restart, ElementsAre("admin.tls"));
  EXPECT_THAT(PlanReload(Running(), running).restart, ElementsAre("admin.tls"));
}

}  // namespace
}  // namespace tepal::gateway
