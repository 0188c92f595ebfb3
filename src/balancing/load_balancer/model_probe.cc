#include "balancing/load_balancer/model_probe.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/text.h"

namespace tepal::lb {

namespace {

constexpr int kOk = 200;
constexpr Duration kUnreachableFor = 5s;

net::HttpClient::Options ClientOptions(std::shared_ptr<net::TlsSource> tls) {
  net::HttpClient::Options client;
  client.idle_connections_max = 1;
  client.limits.body_bytes_max = ModelProbe::kBodyBytesMax;
  client.tls = std::move(tls);
  return client;
}

}  // namespace

ModelProbe::ModelProbe(env::EventLoop& loop, std::shared_ptr<net::TlsSource> tls)
    : loop_(loop),
      client_(std::make_unique<net::HttpClient>(loop, ClientOptions(std::move(tls)))) {}

ModelProbe::~ModelProbe() { client_.reset(); }  // Its requests fail now, and look at the rest.

void ModelProbe::Ask(EndpointId endpoint, const env::Address& address, size_t endpoints,
                     Function<void(const ServerLoad*)> done) {
  Asked& asked = asked_[endpoint];
  if (asked.under_way || loop_.Now() < asked.next) return;
  const Duration spread = FromSeconds(static_cast<double>(endpoints) / kRateMax);
  asked.next = loop_.Now() + std::max<Duration>(kInterval, spread) - kInterval / 2;
  asked.under_way = true;
  Send(endpoint, address, std::move(done));
}

void ModelProbe::Send(EndpointId endpoint, const env::Address& address,
                      Function<void(const ServerLoad*)> done) {
  const bool index = asked_[endpoint].index;
  http::RequestHead head;
  head.method = index ? "POST" : "GET";
  head.target = index ? "/v2/repository/index" : std::string(kLoadPath);
  head.headers.Add("user-agent", "tepal-model-probe");
  BufferList body;
  if (index) {
    head.headers.Add("content-type", "application/json");
    body.push_back(Buffer::Copy(R"({"ready":true})"));
  }
  client_->Fetch(address, std::move(head), std::move(body), kTimeMax,
                 [this, endpoint, address, index,
                  done = std::move(done)](Result<net::HttpClient::Response> response) mutable {
                   const auto found = asked_.find(endpoint);
                   if (found == asked_.end()) return;
                   Asked& asked = found->second;
                   asked.under_way = false;
                   if (!response.ok()) {
                     asked.next =
                         loop_.Now() + kUnreachableFor;  // It may not speak HTTP/1.1 at all.
                     return;
                   }
                   Result<ServerLoad> read = InvalidArgument("");
                   if (response->head.status == kOk) {
                     const std::string_view text = response->body.text();
                     read = index ? ReadRepositoryIndex(text) : ReadServerLoad(text);
                   }
                   if (read.ok()) return done(&*read);
                   if (!index) {
                     asked.index = asked.under_way = true;
                     return Send(endpoint, address, std::move(done));
                   }
                   asked.index = false;  // It may be another server by then.
                   asked.next = loop_.Now() + kSilentFor;
                   done(nullptr);
                 });
}

}  // namespace tepal::lb
