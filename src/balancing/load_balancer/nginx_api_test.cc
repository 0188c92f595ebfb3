#include "balancing/load_balancer/nginx_api.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "balancing/load_balancer/nginx_api_json.h"
#include "balancing/load_balancer/state_json.h"
#include "core/base/text.h"
#include "core/json/value.h"

namespace tepal::lb {
namespace {

// A dispatcher without health checks behind the control interface.
class FakeControl final : public EndpointControl {
 public:
  explicit FakeControl(std::string name)
      : name_(std::move(name)), random_(1), dispatcher_(WithoutChecks(), random_) {}

  EndpointId AddEndpoint(EndpointSpec spec) override {
    return dispatcher_.Add(std::move(spec), now_);
  }
  Status DrainEndpoint(EndpointId id, Function<void()>) override {
    return dispatcher_.Drain(id, now_);
  }
  Status RemoveEndpoint(EndpointId id) override { return dispatcher_.Remove(id, now_); }
  Status SetDown(EndpointId id, bool down) override { return dispatcher_.SetDown(id, down, now_); }
  Status SetWeight(EndpointId id, uint32_t weight) override {
    return dispatcher_.SetWeight(id, weight);
  }
  Status SetInFlightMax(EndpointId id, uint32_t most) override {
    return dispatcher_.SetInFlightMax(id, most);
  }
  BalancerState Read() override {
    BalancerState state;
    state.upstream = name_;
    state.now = now_;
    state.wall_now = WallTime(1'760'000'000s);
    state.started = WallTime(1'759'999'990s);
    for (Dispatcher::EndpointStatus& status : dispatcher_.Endpoints()) {
      EndpointReading reading;
      reading.requests = status.traffic->requests.load();
      reading.codes = {{200, 6}, {206, 1}, {404, 1}};
      reading.responses = ClassesOf(reading.codes);
      reading.header_time = status.traffic->header_time.value();
      reading.response_time = status.traffic->response_time.value();
      reading.status = std::move(status);
      state.endpoints.push_back(std::move(reading));
    }
    state.requests = 8;
    state.codes = {{200, 7}, {404, 1}};
    state.responses = ClassesOf(state.codes);
    return state;
  }
  std::vector<ModelReading> ReadModels() override { return {}; }
  std::vector<ModelAtEndpoint> ReadModelEndpoints(ModelNumber) override { return {}; }
  Dispatcher& dispatcher() { return dispatcher_; }

 private:
  static Dispatcher::Options WithoutChecks() {
    Dispatcher::Options options;
    options.health.enabled = false;
    return options;
  }
  const std::string name_;
  Instant now_{100s};
  env::SeededRandom random_;
  Dispatcher dispatcher_;
};

class NginxApiTest : public testing::Test {
 protected:
  // The answer's body, parsed; checks the status.
  json::Value Ask(std::string_view method, std::string_view path, int status = 200,
                  std::string_view body = "") {
    if (subject_.pools.empty()) {
      subject_.pools = {{"backend", &control_}, {"discovered", &other_, true}};
    }
    const size_t mark = std::min(path.find('?'), path.size());
    last_ = AnswerNginxApi(subject_, {method, path.substr(0, mark),
                                      path.substr(std::min(mark + 1, path.size())), body, "id-1"});
    EXPECT_EQ(last_.status, status) << method << " " << path << ": " << last_.body;
    const auto value = json::Parse(last_.body);
    EXPECT_TRUE(value.ok()) << last_.body;
    return value.ok() ? *value : json::Value();
  }
  // "a.0.b" into nested objects and arrays.
  static const json::Value& At(const json::Value& value, std::string_view path) {
    static const json::Value kNothing;
    const json::Value* at = &value;
    for (const std::string_view part : Split(path, '.')) {
      if (at->AsArray() != nullptr) {
        const size_t index = ParseNumber<size_t>(part).value_or(SIZE_MAX);
        at = index < at->AsArray()->size() ? &(*at->AsArray())[index] : nullptr;
      } else {
        at = at->Find(part);
      }
      if (at == nullptr) return kNothing;
    }
    return *at;
  }
  static std::string Text(const json::Value& value, std::string_view path) {
    const std::string* text = At(value, path).AsString();
    return text == nullptr ? "(none)" : *text;
  }
  static int64_t Number(const json::Value& value, std::string_view path) {
    const int64_t* number = At(value, path).AsInt();
    return number == nullptr ? -1 : *number;
  }

  static constexpr std::string_view kServers = "/api/9/http/upstreams/backend/servers";
  FakeControl control_{"backend"};
  FakeControl other_{"discovered"};
  AdminSubject subject_;
  AdminAnswer last_;
};

TEST_F(NginxApiTest, RootsListWhatIsBelow) {
  const json::Value versions = Ask("GET", "/api/");
  EXPECT_EQ(Number(versions, "0"), 6);
  EXPECT_EQ(Number(versions, "3"), 9);
  EXPECT_EQ(Text(Ask("GET", "/api/9/"), "4"), "http");
  EXPECT_EQ(Text(Ask("GET", "/api/9/"), "7"), "workers");
  EXPECT_EQ(Text(Ask("GET", "/api/6/"), "7"), "(none)");
  EXPECT_EQ(Text(Ask("GET", "/api/9/http/"), "6"), "upstreams");
  for (const std::string_view empty : {"slabs", "resolvers", "http/caches", "http/keyvals"}) {
    EXPECT_TRUE(Ask("GET", Concat("/api/8/", empty)).AsObject()->empty()) << empty;
  }
  EXPECT_EQ(Text(Ask("GET", "/api/9/nginx"), "timestamp"), "2025-10-09T08:53:20.000Z");
  EXPECT_EQ(Number(Ask("GET", "/api/9/connections"), "active"), 0);
  EXPECT_EQ(Number(Ask("GET", "/api/9/http/requests"), "total"), 16);  // Of two pools.
  EXPECT_EQ(Number(Ask("GET", "/api/9/http/server_zones/backend"), "requests"), 8);
  EXPECT_EQ(Number(Ask("GET", "/api/9/http/server_zones"), "backend.responses.total"), 8);
}

TEST_F(NginxApiTest, PeersHaveTheShapeThatMonitoringReads) {
  Ask("POST", kServers, 201, R"({"server": "10.0.0.1:8000", "weight": 3, "max_conns": 20})");
  EXPECT_EQ(last_.location, "/api/9/http/upstreams/backend/servers/1");
  (void)control_.dispatcher().Admit({.ticket = 1}, Instant(101s));
  const json::Value all = Ask("GET", "/api/9/http/upstreams/");
  EXPECT_EQ(Text(all, "backend.peers.0.server"), "10.0.0.1:8000");
  EXPECT_EQ(Text(all, "backend.peers.0.state"), "up");
  EXPECT_EQ(Number(all, "backend.peers.0.weight"), 3);
  EXPECT_EQ(Number(all, "backend.peers.0.max_conns"), 20);
  EXPECT_EQ(Number(all, "backend.peers.0.active"), 1);
  EXPECT_EQ(Number(all, "backend.peers.0.requests"), 1);
  EXPECT_EQ(Number(all, "backend.peers.0.responses.2xx"), 7);
  EXPECT_EQ(Number(all, "backend.zombies"), 0);
  EXPECT_EQ(Number(all, "backend.queue.overflows"), 0);
  EXPECT_EQ(Text(Ask("GET", "/api/9/http/upstreams/backend"), "peers.0.state"), "up");

  // Removed with a request in progress: a zombie.
  Ask("DELETE", Concat(kServers, "/1"));
  const json::Value after = Ask("GET", "/api/9/http/upstreams/backend");
  EXPECT_EQ(Number(after, "zombies"), 1);
  EXPECT_TRUE(At(after, "peers").AsArray()->empty());
}

TEST_F(NginxApiTest, ServersAreDrainedTakenDownAndBroughtBack) {
  Ask("POST", kServers, 201, R"({"server": "10.0.0.1:8000"})");
  Ask("POST", kServers, 201, R"({"server": "10.0.0.2:8000", "down": true})");
  const auto state = [&](std::string_view peer) {
    return Text(Ask("GET", "/api/9/http/upstreams/backend"), Concat("peers.", peer, ".state"));
  };
  EXPECT_EQ(state("1"), "down");
  Ask("PATCH", Concat(kServers, "/2"), 200, R"({"down": false})");
  EXPECT_EQ(state("1"), "up");
  const json::Value drained = Ask("PATCH", Concat(kServers, "/1"), 200, R"({"drain": true})");
  EXPECT_TRUE(*At(drained, "drain").AsBool());
  EXPECT_EQ(state("0"), "draining");
  Ask("PATCH", Concat(kServers, "/1"), 200, R"({"drain": false, "weight": 5})");
  EXPECT_EQ(state("0"), "up");
  EXPECT_EQ(Number(Ask("GET", Concat(kServers, "/1")), "weight"), 5);
  const json::Value left = Ask("DELETE", Concat(kServers, "/1"));
  EXPECT_EQ(left.AsArray()->size(), 1u);
  EXPECT_EQ(Number(left, "0.id"), 2);
}

TEST_F(NginxApiTest, MistakesAreNamed) {
  Ask("POST", kServers, 201, R"({"server": "10.0.0.1:8000"})");
  const auto code = [&](std::string_view method, std::string_view path, int status,
                        std::string_view body = "") {
    return Text(Ask(method, path, status, body), "error.code");
  };
  EXPECT_EQ(code("GET", "/api/5/nginx", 404), "UnknownVersion");
  EXPECT_EQ(code("GET", "/api/6/workers", 404), "PathNotFound");
  EXPECT_EQ(code("GET", "/api/9/http/server_zones/other", 404), "ServerZoneNotFound");
  EXPECT_EQ(Text(Ask("GET", "/api/9/nothing", 404), "request_id"), "id-1");
  EXPECT_EQ(code("GET", "/api/9/nothing", 404), "PathNotFound");
  EXPECT_EQ(code("GET", "/api/9/http/upstreams/other", 404), "UpstreamNotFound");
  EXPECT_EQ(code("GET", Concat(kServers, "/99"), 404), "UpstreamServerNotFound");
  EXPECT_EQ(code("GET", Concat(kServers, "/x"), 404), "UpstreamServerNotFound");
  EXPECT_EQ(code("POST", "/api/9/nginx", 405), "MethodNotSupported");
  EXPECT_EQ(code("PUT", Concat(kServers, "/1"), 405), "MethodNotSupported");
  const auto text = [&](std::string_view method, std::string_view path, std::string_view body) {
    return Text(Ask(method, path, 400, body), "error.text");
  };
  EXPECT_EQ(text("POST", kServers, "{}"), "missing \"server\" argument");
  EXPECT_EQ(text("POST", kServers, "[]"), "expected a JSON object");
  text("POST", kServers, "{");
  text("POST", kServers, R"({"server": "nowhere"})");
  EXPECT_EQ(text("PATCH", Concat(kServers, "/1"), R"({"weight": 0})"),
            "\"weight\" must be a whole number of at least 1");
  EXPECT_EQ(text("PATCH", Concat(kServers, "/1"), R"({"down": 1})"), "\"down\" must be a boolean");
  EXPECT_NE(text("PATCH", Concat(kServers, "/1"), R"({"rout": "a"})").find("unknown parameter"),
            std::string::npos);
  EXPECT_EQ(text("PATCH", Concat(kServers, "/1"), R"({"server": "10.0.0.9:1"})"),
            "the address of a server cannot be changed: add another one");
}

TEST_F(NginxApiTest, FieldsCutAnswersDown) {
  Ask("POST", kServers, 201, R"({"server": "10.0.0.1:8000"})");
  const json::Value cut = Ask("GET", "/api/9/http/upstreams?fields=zone,zombies");
  EXPECT_EQ(Text(cut, "backend.zone"), "backend");
  EXPECT_EQ(At(cut, "backend").AsObject()->size(), 2u);
  EXPECT_EQ(At(cut, "discovered").AsObject()->size(), 2u);
  const json::Value names = Ask("GET", "/api/9/http/upstreams?fields=");
  EXPECT_TRUE(At(names, "backend").AsObject()->empty());
  EXPECT_EQ(Ask("GET", "/api/9/nginx?fields=pid").AsObject()->size(), 1u);
  EXPECT_EQ(Ask("GET", "/api/9/http/upstreams/backend?fields=peers").AsObject()->size(), 1u);
  EXPECT_EQ(Ask("GET", "/api/9/http/requests?fields=total").AsObject()->size(), 1u);
}

TEST_F(NginxApiTest, DiscoveryDecidesWhichServersThereAre) {
  EndpointSpec spec;
  spec.address = *env::Address::Parse("10.0.0.1:8000");
  other_.AddEndpoint(spec);
  constexpr std::string_view kOther = "/api/9/http/upstreams/discovered/servers";
  const auto code = [&](std::string_view method, std::string_view path, std::string_view body) {
    return Text(Ask(method, path, 400, body), "error.code");
  };
  EXPECT_EQ(code("POST", kOther, R"({"server": "10.0.0.2:8000"})"), "UpstreamServerImmutable");
  EXPECT_EQ(code("DELETE", Concat(kOther, "/1"), ""), "UpstreamServerImmutable");
  EXPECT_TRUE(*At(Ask("PATCH", Concat(kOther, "/1"), 200, R"({"drain": true})"), "drain").AsBool());
}

TEST_F(NginxApiTest, WhatAClientSendsBackUnchangedIsTaken) {
  Ask("POST", kServers, 201, R"({"server": "10.0.0.1:8000"})");
  Ask("GET", Concat(kServers, "/1"));
  Ask("PATCH", Concat(kServers, "/1"), 200, std::string(last_.body));
  Ask("PATCH", Concat(kServers, "/1"), 400, R"({"backup": true})");
  EXPECT_TRUE(
      *At(Ask("PATCH", Concat(kServers, "/1"), 200, R"({"down": "true"})"), "down").AsBool());
  Ask("PATCH", Concat(kServers, "/1"), 400, R"({"down": "yes"})");
  const json::Value spare = Ask(
      "POST", kServers, 201, R"({"server": "10.0.0.2:8000", "backup": true, "slow_start": "30s"})");
  EXPECT_TRUE(*At(spare, "backup").AsBool());
  EXPECT_EQ(Text(spare, "slow_start"), "30s");
  Ask("PATCH", Concat(kServers, "/2"), 200, std::string(last_.body));
  Ask("PATCH", Concat(kServers, "/2"), 400, R"({"slow_start": "20s"})");
  Ask("POST", kServers, 409, R"({"server": "10.0.0.1:8000"})");
}

TEST_F(NginxApiTest, ResponseTimesAreCounted) {
  Ask("POST", kServers, 201, R"({"server": "10.0.0.1:8000"})");
  auto traffic =
      std::const_pointer_cast<EndpointTraffic>(control_.dispatcher().Endpoints()[0].traffic);
  const auto peer_now = [&] { return At(Ask("GET", "/api/9/http/upstreams/backend"), "peers.0"); };
  EXPECT_TRUE(At(peer_now(), "response_time").is_null());
  traffic->CountAnswer(200, 3ms, 8ms);
  EXPECT_EQ(Number(peer_now(), "header_time"), 3);
  EXPECT_EQ(Number(peer_now(), "response_time"), 8);
  for (const auto time : {400us, 4000us, 7000us, 80'000us}) traffic->CountAnswer(200, 0us, time);
  // The latest counts for a tenth of the average.
  traffic->CountAnswer(200, 10s, 20s);
  const json::Value peer = peer_now();
  EXPECT_EQ(Number(peer, "header_time"), 1001);
  EXPECT_EQ(Number(peer, "response_time"), 2012);
  EXPECT_EQ(Number(peer, "response_time_hist.count"), 6);
  EXPECT_EQ(Number(peer, "response_time_hist.buckets.5"), 2);
  EXPECT_EQ(Number(peer, "response_time_hist.buckets.10"), 2);
  EXPECT_EQ(Number(peer, "response_time_hist.buckets.100"), 1);
  EXPECT_EQ(Number(peer, "response_time_hist.buckets.inf"), 1);
}

TEST_F(NginxApiTest, AnswersAreCountedByStatusFromVersion7On) {
  Ask("POST", kServers, 201, R"({"server": "10.0.0.1:8000"})");
  for (const std::string version : {"7", "8", "9"}) {
    const std::string http = Concat("/api/", version, "/http/");
    const json::Value peer = At(Ask("GET", Concat(http, "upstreams/backend")), "peers.0.responses");
    EXPECT_EQ(Number(peer, "codes.200"), 6);
    EXPECT_EQ(Number(peer, "codes.206"), 1);
    EXPECT_EQ(At(peer, "codes").AsObject()->size(), 3u);
    EXPECT_EQ(Number(peer, "2xx"), 7);
    EXPECT_EQ(Number(peer, "total"), 8);
    EXPECT_EQ(Number(Ask("GET", Concat(http, "upstreams")), "backend.peers.0.responses.codes.404"),
              1);
    EXPECT_EQ(Number(Ask("GET", Concat(http, "server_zones/backend")), "responses.codes.200"), 7);
    EXPECT_EQ(Number(Ask("GET", Concat(http, "server_zones")), "backend.responses.codes.404"), 1);
  }
  const json::Value old = Ask("GET", "/api/6/http/upstreams/backend");
  EXPECT_EQ(Number(old, "peers.0.responses.2xx"), 7);
  EXPECT_TRUE(At(old, "peers.0.responses.codes").is_null());
}

TEST_F(NginxApiTest, ResolversAreCounted) {
  subject_.resolvers = [] {
    return std::vector<ResolverZone>{
        {"dns", {{"name", 5}, {"srv", 1}, {"addr", 0}}, {{"noerror", 4}, {"timedout", 2}}}};
  };
  EXPECT_EQ(Number(Ask("GET", "/api/9/resolvers"), "dns.requests.name"), 5);
  EXPECT_EQ(Number(Ask("GET", "/api/6/resolvers/"), "dns.responses.timedout"), 2);
  EXPECT_EQ(Number(Ask("GET", "/api/9/resolvers/dns"), "requests.srv"), 1);
  EXPECT_EQ(At(Ask("GET", "/api/9/resolvers?fields=requests"), "dns").AsObject()->size(), 1u);
  EXPECT_EQ(Text(Ask("GET", "/api/9/resolvers/other", 404), "error.code"), "ResolverZoneNotFound");
  EXPECT_EQ(Text(Ask("POST", "/api/9/resolvers/dns", 405), "error.code"), "MethodNotSupported");
}

TEST(StatusCountsTest, CountsWhatIsAStatus) {
  StatusCounts<4> counts;
  for (const int status : {100, 200, 200, 599, 99, 600, 0, -1}) counts.Add(status);
  EXPECT_EQ(counts.Read(), (StatusReading{{100, 1}, {200, 2}, {599, 1}}));
  EXPECT_EQ(ClassesOf(counts.Read()), (std::array<uint64_t, 5>{1, 2, 0, 0, 1}));
}

TEST_F(NginxApiTest, OwnStateIsJson) {
  Ask("POST", kServers, 201, R"({"server": "10.0.0.1:8000"})");
  const auto state = json::Parse(StateJson(control_.Read(), R"({"desired": 3})"));
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(Text(*state, "endpoints.0.state"), "up");
  EXPECT_EQ(Number(*state, "extra.desired"), 3);
  EXPECT_TRUE(At(*state, "latency_p50_ms").is_null());
  EXPECT_TRUE(json::Parse(StateJson(control_.Read(), "")).ok());
  const auto pools = json::Parse(PoolsJson(subject_.Read(), "", {}, {}));
  ASSERT_TRUE(pools.ok());
  EXPECT_EQ(At(*pools, "pools").AsArray()->size(), 2u);
  EXPECT_TRUE(At(*pools, "extra").is_null());
}

}  // namespace
}  // namespace tepal::lb
