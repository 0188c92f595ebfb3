// For tests: the balancer in the simulated world between gRPC and HTTP servers and clients that
// keep books of what they saw.

#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "balancing/load_balancer/balancer.h"
#include "core/base/function.h"
#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/http/grpc.h"
#include "sim/world.h"

namespace tepal::lb {

constexpr size_t kSceneMessageMax = 16u << 20;
constexpr const char* kUnary = "/inference.GRPCInferenceService/ModelInfer";
constexpr const char* kStreaming = "/inference.GRPCInferenceService/ModelStreamInfer";
constexpr const char* kInferRoute = "/v2/models/flower/infer";

inline BufferList OneBuffer(std::string_view text) {
  BufferList list;
  if (!text.empty()) list.push_back(Buffer::Copy(text));
  return list;
}

// Answers with what it got: HTTP bodies, and the messages of unary and streaming calls.
class EchoService final : public http::RequestHandler {
 public:
  struct Books {
    std::map<std::string, int> executed;  // By x-test-id.
    std::vector<std::string> timeouts;    // grpc-timeout as it came.
    int cancelled = 0;
    int messages = 0;
  };
  EchoService(env::EventLoop& loop, env::Random& random, Books& books)
      : loop_(loop), random_(random), books_(books) {}

  bool frozen = false;
  std::optional<Duration> takes;  // Anything up to 5 ms without it.
  int status = 200;               // Of answers that are none of gRPC's.
  Status refusal;                 // Calls are answered with it when it is not OK.
  std::string tail;               // Added to every streamed message.

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    const std::string id(head.headers.Get("x-test-id").value_or(""));
    if (const auto timeout = head.headers.Get("grpc-timeout"))
      books_.timeouts.emplace_back(*timeout);
    if (head.path() == kUnary) return Unary(head, sender, id);
    if (head.path() == kStreaming) return Streaming(head, sender, id);
    if (head.path() == "/v2/health/ready") {
      if (!frozen) sender.Respond({}, {});
      return std::make_unique<http::DiscardingRequest>();
    }
    const bool streams = head.path().ends_with("_stream");
    const auto alive = std::make_shared<bool>(true);
    return std::make_unique<http::CollectingRequest>(
        head, kSceneMessageMax, sender,
        [=, this, &sender](Buffer body) {
          ++books_.executed[id];
          Later([=, this, &sender, body = std::move(body)]() mutable {
            if (!*alive) return;
            BufferList list;
            list.push_back(std::move(body));
            http::ResponseHead answer;
            answer.status = status;
            if (!streams) return sender.Respond(std::move(answer), std::move(list));
            sender.Start(std::move(answer));
            sender.Write(std::move(list));
            sender.Finish();
          });
        },
        [this, alive](const Status&) {
          *alive = false;
          ++books_.cancelled;
        });
  }

 private:
  std::unique_ptr<http::RequestReceiver> Unary(const http::RequestHead& head,
                                               http::ResponseSender& sender,
                                               const std::string& id) {
    const auto alive = std::make_shared<bool>(true);
    return std::make_unique<http::GrpcUnaryRequest>(
        head, sender, kSceneMessageMax,
        [=, this, &sender](Buffer message) {
          ++books_.executed[id];
          Later([=, this, &sender, message = std::move(message)]() mutable {
            if (!*alive) return;
            if (!refusal.ok()) return http::GrpcRespondError(sender, refusal);
            BufferList list;
            list.push_back(std::move(message));
            http::GrpcRespond(sender, std::move(list));
          });
        },
        [this, alive](const Status&) {
          *alive = false;
          ++books_.cancelled;
        });
  }

  std::unique_ptr<http::RequestReceiver> Streaming(const http::RequestHead& head,
                                                   http::ResponseSender& sender,
                                                   const std::string& id) {
    ++books_.executed[id];
    http::GrpcStart(sender);
    http::GrpcStreamRequest::Calls calls;
    calls.on_message = [this, &sender](Buffer message) {
      ++books_.messages;
      http::GrpcWrite(sender, OneBuffer(Concat(message.text(), tail)));
    };
    calls.on_end = [&sender] { http::GrpcFinish(sender, Status()); };
    calls.on_reset = [this](const Status&) { ++books_.cancelled; };
    calls.on_drain = [&sender] { http::GrpcFinish(sender, Unavailable("draining")); };
    return std::make_unique<http::GrpcStreamRequest>(head, sender, kSceneMessageMax,
                                                     std::move(calls));
  }

  void Later(env::Task task) {
    if (frozen) return;
    loop_.RunAfter(takes.value_or(100us * (1 + random_.Below(50))), std::move(task));
  }

  env::EventLoop& loop_;
  env::Random& random_;
  Books& books_;
};

// What became of one call.
struct CallBook {
  bool over = false;
  Status status;
  std::string got;  // Messages one after the other, or the body.
  int messages = 0;
};

class GrpcScene {
 public:
  struct Server {
    env::Address address;
    EchoService* service = nullptr;  // Owned by `http`.
    std::unique_ptr<net::HttpServer> http;
    net::HttpServer::Options options;
  };

  explicit GrpcScene(uint64_t seed, size_t count, Balancer::Options options = {},
                     sim::NetworkOptions network = {})
      : world(seed, network), random(seed + 1) {
    server_loop = &world.AddLoop();
    client_loop = &world.AddLoop();
    std::vector<env::EventLoop*> loops = {&world.AddLoop(), &world.AddLoop()};
    options.model_routing = false;  // The service keeps books of all that it is asked.
    balancer = std::make_unique<Balancer>(loops, std::move(options), seed);
    address = balancer->Listen({env::Address::Family::kIp4, "127.0.0.1", 0}).value();
    net::HttpClient::Options http2;
    http2.http2 = true;
    grpc = std::make_unique<net::HttpClient>(*client_loop, http2);
    http1 = std::make_unique<net::HttpClient>(*client_loop, net::HttpClient::Options());
    servers.resize(count);
    for (size_t i = 0; i < count; ++i) {
      servers[i].address = {env::Address::Family::kIp4, "10.0.0.1", static_cast<uint16_t>(1 + i)};
      Begin(i);
    }
  }
  ~GrpcScene() {
    exchanges.clear();
    grpc.reset();
    http1.reset();
    balancer.reset();
    servers.clear();
  }

  void Begin(size_t i) {
    Server& server = servers[i];
    server.http = std::make_unique<net::HttpServer>(
        std::vector<env::EventLoop*>{server_loop}, server.options,
        [this, &server](env::EventLoop& loop) {
          auto service = std::make_unique<EchoService>(loop, random, books);
          server.service = service.get();
          return service;
        });
    ASSERT_TRUE(server.http->Listen(server.address).ok());
  }
  void Kill(size_t i) {
    servers[i].http->Stop();
    servers[i].http.reset();
    servers[i].service = nullptr;
  }
  void AddEndpoint(const env::Address& to) {
    EndpointSpec spec;
    spec.address = to;
    (void)balancer->AddEndpoint(spec);
  }
  void AddEndpoints() {
    for (const Server& server : servers) AddEndpoint(server.address);
    world.RunFor(500ms);
  }

  // A unary call with `message`, or an HTTP request when the path is none of gRPC's.
  std::shared_ptr<CallBook> Call(const std::string& path, const std::string& message,
                                 std::optional<Duration> timeout = std::nullopt,
                                 const std::string& method = "POST") {
    auto book = std::make_shared<CallBook>();
    calls.push_back(book);
    const std::string id = Concat("c", calls.size());
    client_loop->Post([=, this] {
      if (path.starts_with("/inference.")) return SendUnary(path, id, message, timeout, book);
      http::RequestHead head;
      head.method = method;
      head.target = path;
      head.headers.Add("x-test-id", id);
      http1->Fetch(address, std::move(head), OneBuffer(message), 120s,
                   [book](Result<net::HttpClient::Response> response) {
                     book->over = true;
                     if (!response.ok()) {
                       book->status = response.status();
                     } else if (response->head.status != 200) {
                       book->status = Unavailable(std::string(response->body.text()));
                     } else {
                       book->got = response->body.text();
                     }
                   });
    });
    return book;
  }

  void SendUnary(const std::string& path, const std::string& id, const std::string& message,
                 std::optional<Duration> timeout, const std::shared_ptr<CallBook>& book) {
    http::RequestHead head = http::MakeGrpcRequest("front", path, timeout);
    head.headers.Add("x-test-id", id);
    exchanges.push_back(grpc->Send(address, std::move(head), false,
                                   std::make_unique<http::GrpcUnaryResponse>(
                                       kSceneMessageMax, [book](http::GrpcEnd end, Buffer got) {
                                         book->over = true;
                                         book->status = end.status;
                                         book->got = got.text();
                                       })));
    http::GrpcWrite(exchanges.back()->sender(), OneBuffer(message));
    exchanges.back()->sender().Finish();
  }

  // A streaming call; messages are written with Write, on the client's loop.
  struct Stream {
    std::shared_ptr<CallBook> book = std::make_shared<CallBook>();
    std::unique_ptr<net::HttpClient::Exchange> exchange;
    void Write(const std::string& message) {
      http::GrpcWrite(exchange->sender(), OneBuffer(message));
    }
  };
  std::shared_ptr<Stream> Open() {
    auto stream = std::make_shared<Stream>();
    calls.push_back(stream->book);
    http::RequestHead head = http::MakeGrpcRequest("front", kStreaming);
    head.headers.Add("x-test-id", Concat("c", calls.size()));
    http::GrpcStreamResponse::Calls on;
    on.on_message = [book = stream->book](Buffer message) {
      book->got += message.text();
      ++book->messages;
    };
    on.on_end = [book = stream->book](http::GrpcEnd end) {
      book->over = true;
      book->status = end.status;
    };
    stream->exchange =
        grpc->Send(address, std::move(head), false,
                   std::make_unique<http::GrpcStreamResponse>(kSceneMessageMax, std::move(on)));
    return stream;
  }

  // Four rounds of sixty calls each; within each a server is killed or freezes, and begins anew.
  void CallThroughDeaths(uint64_t seed, Function<void(env::Random&, int)> call) {
    env::SeededRandom chance(seed);
    for (int round = 0; round < 4; ++round) {
      const size_t victim = chance.Below(servers.size());
      const bool freeze = chance.Below(2) == 0;
      for (int i = 0; i < 60; ++i) {
        if (i == 20 && freeze) servers[victim].service->frozen = true;
        if (i == 20 && !freeze) Kill(victim);
        call(chance, i);
        if (chance.Below(2) == 0) world.RunFor(Duration(chance.Below(2'000'000)));
      }
      world.RunFor(6s);
      if (freeze) Kill(victim);
      Begin(victim);
      world.RunFor(8s);
    }
  }

  bool AllOver() const {
    for (const auto& book : calls) {
      if (!book->over) return false;
    }
    return true;
  }
  // Lets everything come to its end, and looks at what must be true then.
  void Finish() {
    EXPECT_TRUE(world.RunUntil([this] { return AllOver(); }, 300s));
    world.RunFor(1s);
    const BalancerState state = balancer->Read();
    EXPECT_EQ(state.in_flight, 0u);
    EXPECT_EQ(state.waiting, 0u);
    EXPECT_EQ(state.active, 0u);
    EXPECT_EQ(state.replay_bytes, 0u);
  }
  int Failed() const {
    int failed = 0;
    for (const auto& book : calls) failed += !book->status.ok();
    return failed;
  }

  sim::World world;
  env::SeededRandom random;
  env::EventLoop* server_loop;
  env::EventLoop* client_loop;
  EchoService::Books books;
  std::vector<Server> servers;
  std::unique_ptr<Balancer> balancer;
  env::Address address;
  std::unique_ptr<net::HttpClient> grpc;
  std::unique_ptr<net::HttpClient> http1;
  std::vector<std::unique_ptr<net::HttpClient::Exchange>> exchanges;
  std::vector<std::shared_ptr<CallBook>> calls;
};

}  // namespace tepal::lb
