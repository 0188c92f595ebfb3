// The whole balancer before servers that say which models they have ready and how loaded they are,
// in the simulated world.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "balancing/load_balancer/balancer.h"
#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/http/grpc.h"
#include "serving/kserve_wire/model_load.h"
#include "serving/kserve_wire/proto_fields.h"
#include "sim/world.h"

namespace tepal::lb {
namespace {

constexpr const char* kUnary = "/inference.GRPCInferenceService/ModelInfer";
constexpr const char* kStatistics = "/inference.GRPCInferenceService/ModelStatistics";

// What one server is told to be, and what it has seen.
struct ServerBook {
  std::set<std::string> ready;
  enum class Lists { kOwnPath, kIndex, kNothing } lists = Lists::kOwnPath;
  std::string load = "in_flight=0,each_us=1000,instances=1";
  Duration takes = 1ms;
  bool frozen = false;
  bool checks_pass = true;
  int infers = 0;
  int asked_for_load = 0;
  std::vector<std::string> infers_of;
};

class ModelServer final : public http::RequestHandler {
 public:
  ModelServer(env::EventLoop& loop, ServerBook& book) : loop_(loop), book_(book) {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    const auto alive = std::make_shared<bool>(true);
    const auto gone = [alive](const Status&) { *alive = false; };
    if (head.headers.Get(kLoadAskField) == "1") ++book_.asked_for_load;
    if (head.path() == kUnary) {
      return std::make_unique<http::GrpcUnaryRequest>(
          head, sender, 1 << 20,
          [this, alive, &sender](Buffer message) {
            ++book_.infers;
            loop_.RunAfter(book_.takes, [this, alive, &sender, message = std::move(message)] {
              if (!*alive || book_.frozen) return;
              http::Headers trailers;
              trailers.Add(kLoadField, book_.load);
              trailers.Add("own", "kept");
              http::GrpcRespond(sender, {message}, nullptr, {}, &trailers);
            });
          },
          gone);
    }
    if (head.path() == kStatistics) {
      return std::make_unique<http::GrpcUnaryRequest>(
          head, sender, 1 << 20,
          [this, alive, &sender](const Buffer&) {
            if (book_.frozen) return;
            std::string model, message;
            AppendBytesField(model, 1, "rose");
            AppendVarintField(model, 4, static_cast<uint64_t>(book_.infers));
            AppendBytesField(message, 1, model);
            http::GrpcRespond(sender, {Buffer::Copy(message)});
          },
          gone);
    }
    return std::make_unique<http::CollectingRequest>(
        head, 1 << 20, sender,
        [this, alive, &sender, path = std::string(head.path())](const Buffer&) {
          Duration after = 0ns;
          if (path.ends_with("/infer")) {
            ++book_.infers;
            book_.infers_of.push_back(path);
            after = book_.takes;
          }
          loop_.RunAfter(after, [this, alive, &sender, path] {
            if (*alive && !book_.frozen) Answer(path, sender);
          });
        },
        gone);
  }

 private:
  void Answer(const std::string& path, http::ResponseSender& sender) {
    if (path == "/v2/health/ready") return Respond(sender, book_.checks_pass ? 200 : 400, "");
    if (path == kLoadPath && book_.lists == ServerBook::Lists::kOwnPath) {
      std::string models;
      for (const std::string& model : book_.ready) {
        models += Concat(models.empty() ? "" : ",", R"({"name":")", model, R"(","ready":true})");
      }
      return Respond(sender, 200, Concat(R"({"ready":true,"models":[)", models, "]}"));
    }
    if (path == "/v2/repository/index" && book_.lists != ServerBook::Lists::kNothing) {
      std::string models;
      for (const std::string& model : book_.ready) {
        models += Concat(models.empty() ? "" : ",", R"({"name":")", model,
                         R"(","version":"1","state":"READY"})");
      }
      return Respond(sender, 200, Concat("[", models, "]"));
    }
    if (path == "/v2/models/stats") {
      return Respond(sender, 200,
                     Concat(R"({"model_stats":[{"name":"rose","version":"1","inference_count":)",
                            book_.infers, "}]}"));
    }
    const std::string model(
        path.starts_with("/v2/models/") ? path.substr(11, path.find('/', 11) - 11) : "");
    if (!path.ends_with("/infer")) return Respond(sender, 404, R"({"error":"Not Found"})");
    if (!book_.ready.contains(model)) {
      return Respond(
          sender, 404,
          Concat(R"({"error":"Request for unknown model: ')", model, "' is not found\"}"));
    }
    Respond(sender, 200, model);
  }

  void Respond(http::ResponseSender& sender, int status, const std::string& text) {
    http::ResponseHead head;
    head.status = status;
    head.headers.Add(kLoadField, book_.load);
    BufferList body;
    if (!text.empty()) body.push_back(Buffer::Copy(text));
    sender.Respond(std::move(head), std::move(body));
  }

  env::EventLoop& loop_;
  ServerBook& book_;
};

struct Answer {
  bool over = false;
  int status = 0;
  std::string text;
  http::Headers headers;
  Duration took{};
};

class ModelScene {
 public:
  explicit ModelScene(std::vector<std::set<std::string>> models, Balancer::Options options = {},
                      ServerBook::Lists lists = ServerBook::Lists::kOwnPath,
                      uint32_t in_flight_max = 0)
      : world(7) {
    server_loop = &world.AddLoop();
    client_loop = &world.AddLoop();
    balancer = std::make_unique<Balancer>(std::vector<env::EventLoop*>{&world.AddLoop()},
                                          std::move(options), 7);
    address = balancer->Listen({env::Address::Family::kIp4, "127.0.0.1", 0}).value();
    client = std::make_unique<net::HttpClient>(*client_loop, net::HttpClient::Options());
    net::HttpClient::Options http2;
    http2.http2 = true;
    grpc = std::make_unique<net::HttpClient>(*client_loop, http2);
    books.resize(models.size());
    for (size_t i = 0; i < models.size(); ++i) {
      books[i].ready = models[i];
      books[i].lists = lists;
      servers.push_back(std::make_unique<net::HttpServer>(
          std::vector<env::EventLoop*>{server_loop}, net::HttpServer::Options(),
          [this, i](env::EventLoop& loop) {
            return std::make_unique<ModelServer>(loop, books[i]);
          }));
      EndpointSpec spec;
      spec.address = {env::Address::Family::kIp4, "10.0.0.1", static_cast<uint16_t>(1 + i)};
      spec.in_flight_max = in_flight_max;
      EXPECT_TRUE(servers[i]->Listen(spec.address).ok());
      endpoints.push_back(balancer->AddEndpoint(spec));
    }
    world.RunFor(4s);  // Checked, and asked what they have.
  }
  ~ModelScene() {
    exchange.reset();
    client.reset();
    grpc.reset();
    balancer.reset();
    servers.clear();
  }

  std::shared_ptr<Answer> Send(const std::string& path, const std::string& body = "{}",
                               const http::Headers& headers = {}, std::string method = "POST") {
    auto answer = std::make_shared<Answer>();
    client_loop->Post([this, answer, path, body, headers, method] {
      http::RequestHead head;
      head.method = method;
      head.target = path;
      head.headers = headers;
      BufferList list;
      if (method == "POST") list.push_back(Buffer::Copy(body));
      const Instant begun = client_loop->Now();
      client->Fetch(address, std::move(head), std::move(list), 120s,
                    [this, answer, begun](Result<net::HttpClient::Response> response) {
                      answer->over = true;
                      answer->took = client_loop->Now() - begun;
                      if (!response.ok()) return;
                      answer->status = response->head.status;
                      answer->headers = response->head.headers;
                      answer->text = response->body.text();
                    });
    });
    return answer;
  }
  Answer Ask(const std::string& path, const std::string& body = "{}",
             const http::Headers& headers = {}, const std::string& method = "POST") {
    const auto answer = Send(path, body, headers, method);
    EXPECT_TRUE(world.RunUntil([&] { return answer->over; }, 200s));
    return *answer;
  }
  // A unary call: how it ended, and its message.
  std::pair<http::GrpcEnd, std::string> Call(const std::string& path, const std::string& request) {
    std::pair<http::GrpcEnd, std::string> got;
    bool over = false;
    client_loop->Post([&] {
      exchange = grpc->Send(address, http::MakeGrpcRequest("front", path), false,
                            std::make_unique<http::GrpcUnaryResponse>(
                                1 << 20, [&](http::GrpcEnd end, Buffer message) {
                                  got = {std::move(end), std::string(message.text())};
                                  over = true;
                                }));
      BufferList message;
      if (!request.empty()) message.push_back(Buffer::Copy(request));
      http::GrpcWrite(exchange->sender(), std::move(message));
      exchange->sender().Finish();
    });
    EXPECT_TRUE(world.RunUntil([&] { return over; }, 100s));
    return got;
  }
  void Infer(const std::string& model, int count) {
    for (int i = 0; i < count; ++i) {
      const Answer answer = Ask(Concat("/v2/models/", model, "/infer"));
      EXPECT_EQ(answer.status, 200) << answer.text;
    }
  }

  sim::World world;
  env::EventLoop* server_loop;
  env::EventLoop* client_loop;
  std::vector<ServerBook> books;
  std::unique_ptr<Balancer> balancer;
  env::Address address;
  std::unique_ptr<net::HttpClient> client, grpc;
  std::unique_ptr<net::HttpClient::Exchange> exchange;
  std::vector<std::unique_ptr<net::HttpServer>> servers;
  std::vector<EndpointId> endpoints;
};

TEST(BalancerModelsSimTest, LoadReportsAreReadAndKeptFromClients) {
  ModelScene scene({{"rose"}});
  const Answer answer = scene.Ask("/v2/models/rose/infer");
  EXPECT_EQ(answer.status, 200);
  EXPECT_FALSE(answer.headers.Has(kLoadField));
  EXPECT_EQ(scene.books[0].asked_for_load, 1);
  EXPECT_EQ(scene.balancer->Read().load_reports, 1u);
  scene.books[0].load = "in_flight=many";
  EXPECT_EQ(scene.Ask("/v2/models/rose/infer").status, 200);
  EXPECT_EQ(scene.balancer->Read().load_malformed, 1u);
  // Of anything else nothing is asked.
  EXPECT_EQ(scene.Ask("/v2/health/ready", "", {}, "GET").status, 200);
  EXPECT_EQ(scene.books[0].asked_for_load, 2);
}

TEST(BalancerModelsSimTest, OverGrpcTheReportIsATrailer) {
  ModelScene scene({{"rose"}});
  const auto [end, message] = scene.Call(kUnary, std::string("\x0a\x04rose", 6));
  EXPECT_TRUE(end.status.ok()) << end.status.message();
  EXPECT_EQ(end.trailers.Get("own"), "kept");
  EXPECT_FALSE(end.trailers.Has(kLoadField));
  EXPECT_EQ(scene.books[0].asked_for_load, 1);
  EXPECT_EQ(scene.balancer->Read().load_reports, 1u);
}

TEST(BalancerModelsSimTest, RequestsGoWhereTheirModelIs) {
  for (const auto lists : {ServerBook::Lists::kOwnPath, ServerBook::Lists::kIndex}) {
    ModelScene scene({{"rose", "tulip"}, {"rose"}, {"tulip", "lily"}}, {}, lists);
    scene.Infer("rose", 30);
    scene.Infer("tulip", 30);
    scene.Infer("lily", 30);
    const auto count = [&](size_t server, std::string_view model) {
      int found = 0;
      for (const std::string& path : scene.books[server].infers_of) {
        found += path == Concat("/v2/models/", model, "/infer");
      }
      return found;
    };
    EXPECT_EQ(count(2, "rose") + count(1, "tulip") + count(0, "lily") + count(1, "lily"), 0);
    EXPECT_GT(count(0, "rose"), 5);
    EXPECT_GT(count(1, "rose"), 5);
    EXPECT_EQ(count(2, "lily"), 30);
    // What nobody has is for a server to say.
    const Answer unknown = scene.Ask("/v2/models/nettle/infer");
    EXPECT_EQ(unknown.status, 404);
    EXPECT_NE(unknown.text.find("unknown model: 'nettle'"), std::string::npos) << unknown.text;
    // An operator has taken out the only one.
    EXPECT_TRUE(scene.balancer->SetDown(scene.endpoints[2], true).ok());
    const Answer nowhere = scene.Ask("/v2/models/lily/infer");
    EXPECT_EQ(nowhere.status, 503);
    EXPECT_NE(nowhere.text.find("model 'lily' is ready on no endpoint"), std::string::npos)
        << nowhere.text;
    EXPECT_LT(nowhere.took, 1s);
  }
}

TEST(BalancerModelsSimTest, ModelRoutingIsSwitchedOffAndOn) {
  ModelScene scene({{"rose"}, {"lily"}});
  EXPECT_TRUE(scene.balancer->SetDown(scene.endpoints[1], true).ok());
  EXPECT_EQ(scene.Ask("/v2/models/lily/infer").status, 503);  // Not asked of who has it not.
  Balancer::Options options;
  options.model_routing = false;
  scene.balancer->Reconfigure(options);
  scene.world.RunFor(2s);
  EXPECT_EQ(scene.Ask("/v2/models/lily/infer").status, 404);
  EXPECT_EQ(scene.books[0].infers, 1);
  EXPECT_TRUE(scene.balancer->SetDown(scene.endpoints[1], false).ok());
  scene.balancer->Reconfigure({});
  scene.world.RunFor(15s);  // The one that did not know it is left out for 10 s.
  scene.Infer("lily", 10);
  EXPECT_EQ(scene.books[0].infers, 1);
}

TEST(BalancerModelsSimTest, AModelThatWasUnloadedIsFoundElsewhere) {
  // Also where the servers say nothing beforehand.
  for (const auto lists : {ServerBook::Lists::kOwnPath, ServerBook::Lists::kNothing}) {
    ModelScene scene({{"rose"}, {"rose"}, {"rose"}}, {}, lists);
    scene.Infer("rose", 9);
    scene.books[0].ready.clear();
    scene.Infer("rose", 30);
    const int missed = scene.books[0].infers;
    EXPECT_LE(missed, 3 + 1 + 3);  // Before, and the one that has found out.
    if (lists == ServerBook::Lists::kNothing) continue;
    scene.world.RunFor(3s);
    scene.books[0].ready = {"rose"};
    scene.world.RunFor(3s);
    scene.Infer("rose", 30);
    EXPECT_GT(scene.books[0].infers, missed + 5);
  }
}

TEST(BalancerModelsSimTest, WhatCannotBeAnsweredInTimeIsRefusedAtOnce) {
  Balancer::Options options;
  options.pool.policy = ChoicePolicy::kLeastWait;
  ModelScene scene({{"rose"}}, std::move(options));
  scene.books[0].takes = 100ms;
  scene.books[0].load = "in_flight=0,each_us=100000,instances=1";
  http::Headers soon;
  soon.Add("tepal-timeout-ms", "20");
  // Nothing is refused before it is known how long answers take.
  EXPECT_EQ(scene.Ask("/v2/models/rose/infer", "{}", soon).status, 200);
  scene.Infer("rose", 40);
  const int before = scene.books[0].infers;
  const Answer refused = scene.Ask("/v2/models/rose/infer", "{}", soon);
  EXPECT_EQ(refused.status, 504);
  EXPECT_NE(refused.text.find("the earliest answer is expected in"), std::string::npos)
      << refused.text;
  EXPECT_LT(refused.took, 20ms);
  EXPECT_EQ(scene.Ask("/v2/models/rose/infer", R"({"parameters":{"timeout":20000}})").status, 504);
  EXPECT_EQ(scene.books[0].infers, before);
  EXPECT_EQ(scene.balancer->Read().counters.refused_late, 2u);
  http::Headers later;
  later.Add("tepal-timeout-ms", "150");
  EXPECT_EQ(scene.Ask("/v2/models/rose/infer", "{}", later).status, 200);
  // With three before it, it is too late.
  for (int i = 0; i < 3; ++i) scene.Send("/v2/models/rose/infer");
  scene.world.RunFor(5ms);
  EXPECT_EQ(scene.Ask("/v2/models/rose/infer", "{}", later).status, 504);
}

TEST(BalancerModelsSimTest, WhoWaitsIsDroppedWhenItCanNoLongerBeInTime) {
  ModelScene scene({{"rose"}}, {}, ServerBook::Lists::kOwnPath, 1);
  scene.books[0].takes = 100ms;
  scene.books[0].load = "";
  scene.Infer("rose", 8);  // The least it takes is known; the pace is not yet.
  const auto first = scene.Send("/v2/models/rose/infer");
  scene.world.RunFor(1ms);
  http::Headers soon;
  soon.Add("tepal-timeout-ms", "150");
  const Answer dropped = scene.Ask("/v2/models/rose/infer", "{}", soon);
  EXPECT_EQ(dropped.status, 504);
  EXPECT_NE(dropped.text.find("no endpoint was free early enough"), std::string::npos)
      << dropped.text;
  EXPECT_LT(dropped.took, 70ms);
  EXPECT_EQ(scene.balancer->Read().counters.dropped_late, 1u);
}

TEST(BalancerModelsSimTest, ANewcomerCarriesItsShareWithinTwoSeconds) {
  ModelScene scene({{"rose"}, {"rose"}, {"rose"}});
  scene.Infer("rose", 300);
  ASSERT_TRUE(scene.balancer->RemoveEndpoint(scene.endpoints[2]).ok());
  scene.world.RunFor(1s);
  EndpointSpec spec;
  spec.address = {env::Address::Family::kIp4, "10.0.0.1", 3};
  (void)scene.balancer->AddEndpoint(spec);
  scene.world.RunFor(2s);
  const int before = scene.books[2].infers;
  scene.Infer("rose", 300);
  EXPECT_NEAR(scene.books[2].infers - before, 100, 5);
}

TEST(BalancerModelsSimTest, AFrozenEndpointIsLeftLongBeforeTheFixedLimit) {
  Balancer::Options options;
  options.pool.health.enabled = false;  // Nothing else tells.
  ModelScene scene({{"rose"}, {"rose"}, {"rose"}}, std::move(options));
  scene.Infer("rose", 150);
  const uint64_t retries_before = scene.balancer->Read().retries;
  scene.books[1].frozen = true;
  Duration longest{};
  for (int i = 0; i < 30; ++i) {
    const Answer answer = scene.Ask("/v2/models/rose/infer");
    EXPECT_EQ(answer.status, 200) << answer.text;
    longest = std::max(longest, answer.took);
  }
  const BalancerState state = scene.balancer->Read();
  EXPECT_GE(longest, TryLimit::kTryTimeMin);
  EXPECT_LE(longest, Duration(TryLimit::kTryTimeMin) + 100ms);  // And not 30 s.
  EXPECT_GE(state.rescued, 1u);
  EXPECT_LE(state.retries - retries_before, 6u);  // Then it is ejected.
}

TEST(BalancerModelsSimTest, WhenEverythingIsSlowNothingIsRepeatedForEver) {
  Balancer::Options options;
  options.pool.health.enabled = false;
  options.pool.retry_budget = {.share = 0.2, .tokens_start = 5, .tokens_max = 5, .active_min = 1};
  ModelScene scene({{"rose"}, {"rose"}}, std::move(options));
  scene.Infer("rose", 150);
  for (ServerBook& book : scene.books) {
    book.takes = 3s;  // A thousand times as long as before.
    book.infers = 0;
  }
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(scene.Ask("/v2/models/rose/infer").status, 200);
  }
  const int tries = scene.books[0].infers + scene.books[1].infers;
  EXPECT_LE(tries, 40 + 5 + 40 / 5 + 2);
}

TEST(BalancerModelsSimTest, StatisticsAreThoseOfAllReplicas) {
  ModelScene scene({{"rose"}, {"rose"}, {"rose"}});
  scene.Infer("rose", 30);
  const Answer sum = scene.Ask("/v2/models/stats", "", {}, "GET");
  EXPECT_EQ(sum.status, 200);
  EXPECT_EQ(sum.text, R"({"model_stats":[{"name":"rose","version":"1","inference_count":30}]})");
  EXPECT_EQ(sum.headers.Get("tepal-replicas"), "3 of 3");
  EXPECT_FALSE(sum.headers.Has("tepal-missing"));

  scene.books[1].ready.clear();
  const Answer index = scene.Ask("/v2/repository/index", "{}");
  EXPECT_EQ(index.text, R"([{"name":"rose","version":"1","state":"UNAVAILABLE",)"
                        R"("reason":"READY on 2 of 3 replicas"}])");

  scene.books[1].frozen = true;
  const Answer part = scene.Ask("/v2/models/stats", "", {}, "GET");
  EXPECT_EQ(part.status, 200);
  if (part.headers.Get("tepal-replicas") != "2 of 2") {  // Unless its checks have failed by then.
    EXPECT_EQ(part.headers.Get("tepal-replicas"), "2 of 3");
    EXPECT_TRUE(part.headers.Get("tepal-missing")->starts_with("10.0.0.1:2 ("));
  }
  const Answer each = scene.Ask("/v2/models/stats?per_replica=true", "", {}, "GET");
  EXPECT_NE(each.text.find(R"({"endpoint":"10.0.0.1:1","name":"10.0.0.1:1","status":200,)"
                           R"("answer":{"model_stats":[)"),
            std::string::npos)
      << each.text;
  scene.books[1].frozen = false;
  scene.world.RunFor(3s);
  std::string model, expected;
  AppendBytesField(model, 1, "rose");
  AppendVarintField(model, 4, 30);
  AppendBytesField(expected, 1, model);
  const auto [end, message] = scene.Call(kStatistics, "");
  EXPECT_TRUE(end.status.ok()) << end.status.message();
  EXPECT_EQ(message, expected);
  EXPECT_EQ(end.trailers.Get("tepal-replicas"), "3 of 3");
  // An error of all of them is passed on.
  scene.books[1].frozen = false;
  scene.world.RunFor(3s);
  EXPECT_EQ(scene.Ask("/v2/models/nettle/stats", "", {}, "GET").status, 404);
  EXPECT_EQ(scene.balancer->Read().active, 0u);
}

TEST(BalancerModelsSimTest, ModelsAreShownWhileTheyAreSomewhereOrInUse) {
  ModelScene scene({{"rose"}, {"rose"}});
  scene.Infer("rose", 40);
  scene.world.RunFor(1s);
  const std::vector<ModelReading> models = scene.balancer->ReadModels();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].status.ready, 2u);
  EXPECT_EQ(models[0].status.counts.responses[1], 40u);
  EXPECT_GT(models[0].rate_10s, 3);
  EXPECT_EQ(scene.balancer->ReadModelEndpoints(models[0].status.number).size(), 2u);
  for (const EndpointId id : scene.endpoints) EXPECT_TRUE(scene.balancer->SetDown(id, true).ok());
  EXPECT_EQ(scene.balancer->ReadModels().size(), 1u);
  scene.world.RunFor(70s);
  EXPECT_TRUE(scene.balancer->ReadModels().empty());
}

}  // namespace
}  // namespace tepal::lb
