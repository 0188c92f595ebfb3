// A server that answers every request with the same small body: what the network core costs.
//
//   net_hello_bench PORT   listens on 127.0.0.1 (0: any free port) and prints "listening on PORT"

#include <csignal>
#include <cstdio>
#include <string_view>

#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "network/http/body_collector.h"
#include "network/net/http_server.h"

namespace tepal {
namespace {

constexpr std::string_view kBody = "Hello, world\n";

// Answers when the request has come whole, its body thrown away.
class Hello final : public http::RequestReceiver {
 public:
  explicit Hello(http::ResponseSender& sender) : sender_(sender) {}
  std::span<std::byte> BodyRoom(size_t) override {
    static std::byte waste[4096];
    return waste;
  }
  void OnBody(size_t) override {}
  void OnRequestEnd(const http::Headers&) override {
    http::ResponseHead head;
    head.headers.Add("content-type", "text/plain");
    BufferList body;
    body.push_back(Buffer::Static(kBody));
    sender_.Respond(std::move(head), std::move(body));
  }
  void OnReset(const Status&) override {}

 private:
  http::ResponseSender& sender_;
};

class HelloHandler final : public http::RequestHandler {
 public:
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead,
                                                   http::ResponseSender& sender) override {
    return std::make_unique<Hello>(sender);
  }
};

int Main(std::string_view port_text) {
  const auto port = ParseNumber<uint16_t>(port_text);
  auto loop = runtime::EpollLoop::New();
  if (!port || !loop.ok()) return 2;
  if (!(*loop)->WatchSignals({SIGINT, SIGTERM}, [&](int) { (*loop)->Stop(); }).ok()) return 2;
  net::HttpServer server({loop->get()}, {},
                         [](env::EventLoop&) { return std::make_unique<HelloHandler>(); });
  const auto address = server.Listen({env::Address::Family::kIp4, "127.0.0.1", *port});
  if (!address.ok()) {
    std::fprintf(stderr, "net_hello_bench: %s\n", address.status().message().c_str());
    return 1;
  }
  std::printf("listening on %d\n", address->port);
  std::fflush(stdout);
  (*loop)->Run();
  return 0;
}

}  // namespace
}  // namespace tepal

int main(int argc, char** argv) { return tepal::Main(argc > 1 ? argv[1] : "0"); }
