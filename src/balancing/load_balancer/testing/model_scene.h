// For tests: the balancer in the simulated world before servers that say which models they have
// ready and how loaded they are.

#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "balancing/load_balancer/balancer.h"
#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/http/grpc.h"
#include "serving/kserve_wire/model_load.h"
#include "serving/kserve_wire/proto_fields.h"
#include "sim/world.h"

namespace tepal::lb {

constexpr const char* kUnary = "/inference.GRPCInferenceService/ModelInfer";
constexpr const char* kStreaming = "/inference.GRPCInferenceService/ModelStreamInfer";
constexpr const char* kStatistics = "/inference.GRPCInferenceService/ModelStatistics";

// What one server is told to be, and what it has seen.
struct ServerBook {
  std::set<std::string> ready;
  enum class Lists { kOwnPath, kIndex, kNothing } lists = Lists::kOwnPath;
  std::string load = "in_flight=0,each_us=1000,instances=1";
  Duration takes = 1ms;
  bool frozen = false;
  bool refuses = false;  // To say its statistics over gRPC.
  bool checks_pass = true;
  int infers = 0;
  int asked_for_load = 0;
  std::vector<std::string> infers_of;
  std::vector<std::string> request_ids;  // Of all but the balancer's own requests.
};

class ModelServer final : public http::RequestHandler {
 public:
  ModelServer(env::EventLoop& loop, ServerBook& book) : loop_(loop), book_(book) {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    const auto alive = std::make_shared<bool>(true);
    const auto gone = [alive](const Status&) { *alive = false; };
    if (head.headers.Get(kLoadAskField) == "1") ++book_.asked_for_load;
    if (const auto id = head.headers.Get("x-request-id")) book_.request_ids.emplace_back(*id);
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
    if (head.path() == kStreaming) {
      http::GrpcStart(sender);
      http::GrpcStreamRequest::Calls calls;
      calls.on_message = [this, &sender](Buffer message) {
        ++book_.infers;
        http::GrpcWrite(sender, {std::move(message)});
      };
      calls.on_end = [this, &sender] {
        http::Headers trailers;
        trailers.Add(kLoadField, book_.load);
        trailers.Add("own", "kept");
        http::GrpcFinish(sender, Status(), &trailers);
      };
      calls.on_reset = [](const Status&) {};
      return std::make_unique<http::GrpcStreamRequest>(head, sender, 1 << 20, std::move(calls));
    }
    if (head.path() == kStatistics) {
      return std::make_unique<http::GrpcUnaryRequest>(
          head, sender, 1 << 20,
          [this, alive, &sender](const Buffer&) {
            if (book_.frozen) return;
            if (book_.refuses) return http::GrpcRespondError(sender, NotFound("no such model"));
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
  // A unary call that is on its way; without `exchange` it is cancelled.
  struct Called {
    bool over = false;
    http::GrpcEnd end;
    std::string message;
  };
  std::shared_ptr<Called> Start(const std::string& path, const std::string& request,
                                const http::Headers& metadata = {}) {
    auto called = std::make_shared<Called>();
    client_loop->Post([this, called, path, request, metadata] {
      http::RequestHead head = http::MakeGrpcRequest("front", path);
      for (const auto field : metadata) head.headers.Add(field.name, field.value);
      exchange = grpc->Send(address, std::move(head), false,
                            std::make_unique<http::GrpcUnaryResponse>(
                                1 << 20, [called](http::GrpcEnd end, const Buffer& message) {
                                  called->end = std::move(end);
                                  called->message = message.text();
                                  called->over = true;
                                }));
      BufferList message;
      if (!request.empty()) message.push_back(Buffer::Copy(request));
      http::GrpcWrite(exchange->sender(), std::move(message));
      exchange->sender().Finish();
    });
    return called;
  }
  // How a unary call ended, and its message.
  std::pair<http::GrpcEnd, std::string> Call(const std::string& path, const std::string& request,
                                             const http::Headers& metadata = {}) {
    const auto called = Start(path, request, metadata);
    EXPECT_TRUE(world.RunUntil([&] { return called->over; }, 100s));
    return {called->end, called->message};
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

}  // namespace tepal::lb
