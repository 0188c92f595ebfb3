// grpc.testing.TestService on our layer, for the interoperability clients of others.
//
// Prints "listening on ADDRESS" and serves until SIGTERM.

#include <csignal>
#include <cstdio>

#include "core/base/text.h"
#include "core/options/flags.h"
#include "core/runtime/runtime.h"
#include "network/http/body_collector.h"
#include "network/net/http_server.h"
#include "test/interop/program.h"
#include "test/interop/server_call.h"

namespace tepal::interop {
namespace {

class Service final : public http::RequestHandler {
 public:
  Service(env::EventLoop& loop, bool compress) : door_{loop, compress, "tepal"} {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    if (http::IsGrpcRequest(head)) {
      if (std::unique_ptr<Call> call = NewCall(door_, head, sender)) return call;
    }
    http::GrpcRespondError(sender, Unimplemented(Concat("no method ", head.path())));
    return std::make_unique<http::DiscardingRequest>();
  }

 private:
  const Call::Door door_;
};

struct Options {
  uint16_t port = 0;
  bool compress = false;
  std::string tls_cert, tls_key;
};

Status Serve(const Options& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<runtime::EpollLoop> loop, runtime::EpollLoop::New());
  RETURN_IF_ERROR(loop->WatchSignals({SIGTERM, SIGINT}, [&loop](int) { loop->Stop(); }));
  net::HttpServer::Options server_options;
  if (!options.tls_cert.empty()) {
    ASSIGN_OR_RETURN(server_options.tls,
                     net::TlsSource::ForServer(runtime::SystemFileSystem(), runtime::SystemClock(),
                                               {options.tls_cert, options.tls_key, ""}));
  }
  net::HttpServer server({loop.get()}, server_options, [&options](env::EventLoop& of) {
    return std::make_unique<Service>(of, options.compress);
  });
  ASSIGN_OR_RETURN(const env::Address address,
                   server.Listen({env::Address::Family::kIp4, "127.0.0.1", options.port}));
  std::printf("listening on %s\n", address.ToString().c_str());
  std::fflush(stdout);
  loop->Run();
  server.Stop();
  return {};
}

}  // namespace
}  // namespace tepal::interop

int main(int argc, char** argv) {
  tepal::interop::Options options;
  tepal::options::FlagSet flags("interop_server [FLAGS]", "gRPC's interoperability test service.");
  flags.Add("port", &options.port, "Of 127.0.0.1; 0 is any free one.");
  flags.Add("compress", &options.compress, "Compress every answer that the client takes so.");
  flags.Add("tls-cert", &options.tls_cert, "PEM file; with it, TLS.");
  flags.Add("tls-key", &options.tls_key, "PEM file.");
  return tepal::interop::RunMain(flags, argc, argv, [&] { return Serve(options); });
}
