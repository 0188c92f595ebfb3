// Servers of the simulated network for tests of this room: what they answer is a function's to say.

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/function.h"
#include "network/http/body_collector.h"
#include "network/net/http_server.h"
#include "network/net/resolver.h"

namespace tepal::custom_metrics::testing {

struct FakeAnswer {
  int status = 200;
  std::string body;
  Duration delay{};
  bool never = false;  // The connection stays and nothing comes.
};

// `answer` gets the request's head and body; it outlives the server.
using FakeAnswers = Function<FakeAnswer(const http::RequestHead&, const std::string& body)>;

class FakeHandler final : public http::RequestHandler {
 public:
  FakeHandler(env::EventLoop& loop, FakeAnswers& answers) : loop_(loop), answers_(answers) {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    auto alive = std::make_shared<bool>(true);
    return std::make_unique<http::CollectingRequest>(
        head, 1 << 20, sender,
        [this, head, &sender, alive](Buffer body) {
          FakeAnswer answer = answers_(head, std::string(body.text()));
          if (answer.never) return;
          loop_.RunAfter(answer.delay, [&sender, alive, answer = std::move(answer)] {
            if (*alive) Respond(sender, answer);
          });
        },
        [alive](const Status&) { *alive = false; });
  }

 private:
  static void Respond(http::ResponseSender& sender, const FakeAnswer& answer) {
    http::ResponseHead head;
    head.status = answer.status;
    BufferList list;
    list.push_back(Buffer::Copy(answer.body));
    sender.Respond(std::move(head), std::move(list));
  }

  env::EventLoop& loop_;
  FakeAnswers& answers_;
};

inline std::unique_ptr<net::HttpServer> NewFakeServer(env::EventLoop& loop, FakeAnswers& answers) {
  return std::make_unique<net::HttpServer>(
      std::vector<env::EventLoop*>{&loop}, net::HttpServer::Options{},
      [&answers](env::EventLoop& on) { return std::make_unique<FakeHandler>(on, answers); });
}

class OneAddress final : public net::Resolver {
 public:
  explicit OneAddress(env::Address address) : address_(std::move(address)) {}
  void Resolve(env::EventLoop& loop, const net::HostPort&,
               Function<void(Result<std::vector<env::Address>>)> done) override {
    loop.Post([done = std::move(done), address = address_]() mutable {
      done(std::vector<env::Address>{address});
    });
  }

 private:
  const env::Address address_;
};

class NoFiles final : public env::FileSystem {
 public:
  Result<std::string> Read(const std::string& path, uint64_t) override { return NotFound(path); }
  Result<std::vector<Entry>> List(const std::string& path) override { return NotFound(path); }
  Result<Facts> Stat(const std::string& path) override { return NotFound(path); }
  Status Replace(const std::string& path, std::string_view) override { return NotFound(path); }
  Status MakeDirectories(const std::string& path) override { return NotFound(path); }
  Status Remove(const std::string& path) override { return NotFound(path); }
};

}  // namespace tepal::custom_metrics::testing
