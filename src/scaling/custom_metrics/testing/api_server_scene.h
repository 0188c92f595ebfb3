// For tests: the whole API server over the simulated network, over HTTP/1.1 or HTTP/2, with an API
// server of the test's own behind it.

#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "network/net/http_client.h"
#include "network/net/http_server.h"
#include "network/net/tls_test_support.h"
#include "scaling/custom_metrics/api_server.h"
#include "scaling/custom_metrics/testing/fake_kube.h"
#include "scaling/custom_metrics/testing/static_source.h"
#include "scaling/custom_metrics/trust_watch.h"
#include "sim/world.h"

namespace tepal::custom_metrics {

inline const env::Address kKube{env::Address::Family::kIp4, "10.0.0.1", 6443};
inline const env::Address kApi{env::Address::Family::kIp4, "10.0.0.2", 6443};

inline constexpr char kPods[] =
    "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/%2A/load";

struct Reply {
  int code = 0;
  std::string body, type;
  Status failure;
};

inline std::string TrustText(const net::TestAuthority& front, const net::TestAuthority& clients) {
  json::Writer out;
  out.BeginObject().Key("metadata").BeginObject();
  out.Key("name").String("extension-apiserver-authentication");
  out.Key("namespace").String("kube-system").Key("resourceVersion").String("@").EndObject();
  out.Key("data").BeginObject();
  out.Key("client-ca-file").String(clients.certificate().text);
  out.Key("requestheader-client-ca-file").String(front.certificate().text);
  out.Key("requestheader-allowed-names").String(R"(["front-proxy-client"])");
  out.Key("requestheader-username-headers").String(R"(["X-Remote-User"])");
  out.Key("requestheader-group-headers").String(R"(["X-Remote-Group"])");
  out.Key("requestheader-extra-headers-prefix").String(R"(["X-Remote-Extra-"])");
  out.EndObject().EndObject();
  return out.Take();
}

// The user "hpa" may everything, "reader" may see pods/load, others nothing.
inline std::string Review(const json::Value& sent) {
  const std::string_view user = kube::TextAt(sent, "spec", "user");
  const std::string_view part = kube::TextAt(sent, "spec", "resourceAttributes", "subresource");
  const bool allowed = user == "hpa" || (user == "reader" && part == "load");
  return allowed ? R"({"allowed":true})" : R"({"allowed":false,"reason":""})";
}

class ApiServerSimTest : public ::testing::TestWithParam<bool> {
 protected:
  ApiServerSimTest() : loop(world.AddLoop()) {
    kube_server.emplace(std::vector<env::EventLoop*>{&loop}, net::HttpServer::Options{},
                        [this](env::EventLoop&) {
                          auto made = std::make_unique<testing::FakeKube>();
                          kube = made.get();
                          return made;
                        });
    EXPECT_TRUE(kube_server->Listen(kKube).ok());
    kube->Set(testing::kTrustPath, "extension-apiserver-authentication", TrustText(front, clients));
    kube->reviews[testing::kAccessReviewPath] = Review;
    kube->reviews[testing::kTokenReviewPath] = [](const json::Value& sent) -> std::string {
      if (kube::TextAt(sent, "spec", "token") != "good") {
        return R"({"authenticated":false,"error":"no such token"})";
      }
      return R"({"authenticated":true,"user":{"username":"reader","uid":"1","groups":["g"]}})";
    };
    kube->Set(testing::kPodsPath, "default/a", testing::PodText("default", "a", "web"));
    kube->Set(testing::kPodsPath, "default/b", testing::PodText("default", "b", "web"));
    kube->Set(testing::kPodsPath, "default/c", testing::PodText("default", "c", "db"));
    kube->Set(testing::kPodsPath, "other/a", testing::PodText("other", "a", "web"));
    source.objects = {{{"", "namespaces"}, false, "load"}, {{"", "pods"}, true, "load"}};
    source.values = {{"a", 1}, {"b", 2.5}, {"c", 4}, {"default", 9}};
    kube::ClusterAccess access;
    access.host = "kube.test";
    access.port = kKube.port;
    access.tls = false;
    client = kube::Client::New(loop, {files, world.clock(), resolver}, access, {}).value();
    trust.emplace(loop, client.get(), world.random());
    EXPECT_TRUE(trust->Start({}).ok());
    reviews.emplace(loop, *client, Reviews::Options{});
    authenticator.emplace(
        DelegatingAuthenticator::World{loop, [this] { return trust->Get(); }, &*reviews},
        DelegatingAuthenticator::Options{});
    authorizer.emplace(loop, *reviews, DelegatingAuthorizer::Options{});
    objects.emplace(loop, *client, world.random(), ObjectDirectory::Options{});
    objects->Start();
    api.emplace(ApiServer::World{loop, *authenticator, *authorizer, *objects, source, registry},
                ApiServer::Options{.external = true});
    api->AddReadyCheck("authentication", [this] { return trust->Health(); });
    net::TlsContext::ServerOptions tls;
    const auto issued = authority.Issue("IP:10.0.0.2");
    tls.certificate_chain = issued.certificate;
    tls.key = issued.key;
    net::HttpServer::Options options;
    options.tls = net::TestTls::Always(net::NewAskingServer(tls, WallTime{}).value());
    server.emplace(std::vector<env::EventLoop*>{&loop}, options,
                   [this](env::EventLoop&) { return api->NewHandler(); });
    EXPECT_TRUE(server->Listen(kApi).ok());
  }

  void Settle() {
    EXPECT_TRUE(world.RunUntil([&] { return trust->Get() != nullptr && objects->synced(); }, 60s));
    world.RunFor(1s);  // The watches begin.
  }

  std::unique_ptr<net::HttpClient> Connect(const net::TestAuthority::Issued* certificate) {
    net::TlsContext::ClientOptions tls;
    tls.ca = authority.certificate();
    if (certificate != nullptr) {
      tls.certificate_chain = certificate->certificate;
      tls.key = certificate->key;
    }
    net::HttpClient::Options options;
    options.http2 = GetParam();
    options.tls = net::TestTls::Always(net::TestTls::Context(tls));
    return std::make_unique<net::HttpClient>(loop, options);
  }

  using Fields = std::vector<std::pair<std::string, std::string>>;

  void Begin(net::HttpClient& with, const std::string& target, const Fields& fields,
             Function<void(Reply)> done, const std::string& method = "GET") {
    http::RequestHead head;
    head.method = method;
    head.target = target;
    for (const auto& [name, value] : fields) head.headers.Add(name, value);
    with.Fetch(kApi, head, {}, 60s,
               [done = std::move(done)](Result<net::HttpClient::Response> answer) mutable {
                 Reply reply;
                 if (answer.ok()) {
                   reply = {answer->head.status,
                            std::string(answer->body.text()),
                            std::string(answer->head.headers.Get("content-type").value_or("")),
                            {}};
                 } else {
                   reply.failure = answer.status();
                 }
                 done(std::move(reply));
               });
  }

  Reply Ask(net::HttpClient& with, const std::string& target, const Fields& fields = {},
            const std::string& method = "GET") {
    std::optional<Reply> got;
    // In a turn of the loop, which knows what time it is.
    loop.Post([&] {
      Begin(
          with, target, fields, [&](Reply reply) { got = std::move(reply); }, method);
    });
    EXPECT_TRUE(world.RunUntil([&] { return got.has_value(); }, 120s));
    return got.value_or(Reply());
  }
  // As the aggregator, for the user.
  Reply AskFor(const std::string& user, const std::string& target, const std::string& accept = "",
               const std::string& method = "GET") {
    if (proxy == nullptr) proxy = Connect(&proxy_certificate);
    Fields fields = {{"x-remote-user", user}, {"x-remote-group", "g"}};
    if (!accept.empty()) fields.emplace_back("accept", accept);
    return Ask(*proxy, target, fields, method);
  }

  std::string AskedNames() const {
    std::string names;
    if (source.asked.empty()) return "nothing";
    for (const std::string& name : source.asked.back().names) names += name;
    return names;
  }

  const net::TestAuthority authority{"servers"};
  const net::TestAuthority front{"front proxy"};
  const net::TestAuthority clients{"clients"};
  const net::TestAuthority::Issued proxy_certificate = front.IssueFor("front-proxy-client", {});
  sim::World world{1};
  env::EventLoop& loop;
  testing::NoFiles files;
  testing::OneAddress resolver{kKube};
  testing::FakeKube* kube = nullptr;
  std::optional<net::HttpServer> kube_server;
  std::unique_ptr<kube::Client> client;
  std::optional<TrustWatch> trust;
  std::optional<Reviews> reviews;
  std::optional<DelegatingAuthenticator> authenticator;
  std::optional<DelegatingAuthorizer> authorizer;
  std::optional<ObjectDirectory> objects;
  testing::StaticSource source;
  telemetry::MetricsRegistry registry;
  std::optional<ApiServer> api;
  std::optional<net::HttpServer> server;
  std::unique_ptr<net::HttpClient> proxy;
};

}  // namespace tepal::custom_metrics
