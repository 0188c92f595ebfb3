#include "balancing/load_balancer/state_json.h"

#include <gtest/gtest.h>

namespace tepal::lb {
namespace {

TEST(StateJsonTest, PoolsSayWhoAsksAndWhyItMayNotWrite) {
  EXPECT_EQ(PoolsJson({}, "", {"host", "1f", true}, {"ops", ""}),
            R"({"pools":[],"extra":null,"balancer":{"name":"host","instance":"1f","fleet":true},)"
            R"("caller":{"name":"ops","may_write":true,"refusal":""}})");
  EXPECT_EQ(PoolsJson({}, R"({"a":1})", {}, {"mon", "no"}),
            R"({"pools":[],"extra":{"a":1},"balancer":{"name":"","instance":"","fleet":false},)"
            R"("caller":{"name":"mon","may_write":false,"refusal":"no"}})");
}

TEST(StateJsonTest, Hedges) {
  BalancerState state;
  state.hedging = true;
  state.hedges = 3;
  state.hedges_won = 2;
  state.hedges_refused = 1;
  EXPECT_NE(StateJson(state, "").find(R"("hedges":{"on":true,"sent":3,"won":2,"refused":1})"),
            std::string::npos);
}

TEST(StateJsonTest, Models) {
  ModelReading rose;
  rose.status.number = 3;
  rose.status.name = "ro\"se";
  rose.status.ready = 2;
  rose.status.silent = 1;
  rose.status.counts.requests = 7;
  rose.status.counts.in_flight = 1;
  rose.status.counts.responses = {0, 4, 0, 1, 0};
  rose.status.counts.failures = 1;
  rose.status.refused = 5;
  rose.status.waiting = 6;
  rose.status.latency_p99 = 2ms;
  rose.rate_1s = 8;
  rose.history = {1, 2};
  EXPECT_EQ(
      ModelsJson("u", {rose}),
      R"({"upstream":"u","models":[{"number":3,"name":"ro\"se","ready":2,"silent":1,"requests":7,)"
      R"("in_flight":1,"responses":[0,4,0,1,0],"failures":1,"refused":5,"waiting":6,"rate_1s":8.0,)"
      R"("rate_10s":0.0,"expected_ms":null,"latency_p50_ms":null,"latency_p99_ms":2.0,)"
      R"("history":[1.0,2.0]}]})");
}

TEST(StateJsonTest, EndpointsOfAModel) {
  ModelAtEndpoint says, silent;
  says.endpoint = 1;
  says.ready = false;
  says.refuses = true;
  says.soonest = 3ms;
  silent.endpoint = 2;
  EXPECT_EQ(ModelEndpointsJson(3, {says, silent}),
            R"({"number":3,"endpoints":[{"id":1,"ready":false,"refuses":true,"requests":0,)"
            R"("in_flight":0,"responses":[0,0,0,0,0],"failures":0,"expected_ms":3.0},)"
            R"({"id":2,"ready":null,"refuses":false,"requests":0,"in_flight":0,)"
            R"("responses":[0,0,0,0,0],"failures":0,"expected_ms":null}]})");
}

}  // namespace
}  // namespace tepal::lb
