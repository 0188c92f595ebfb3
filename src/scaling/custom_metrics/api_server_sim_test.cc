// The whole API server over the simulated network: TLS, identities, permissions, pods, values; with
// an API server of the test's own behind it.

#include "scaling/custom_metrics/api_server.h"

#include <gtest/gtest.h>

#include <optional>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "network/net/http_client.h"
#include "network/net/http_server.h"
#include "network/net/tls_test_support.h"
#include "scaling/custom_metrics/testing/fake_kube.h"
#include "scaling/custom_metrics/testing/static_source.h"
#include "scaling/custom_metrics/trust_watch.h"
#include "sim/world.h"

namespace tepal::custom_metrics {
namespace {

using testing::FakeKube;
using testing::PodText;

const env::Address kKube{env::Address::Family::kIp4, "10.0.0.1", 6443};
const env::Address kApi{env::Address::Family::kIp4, "10.0.0.2", 6443};

constexpr char kPods[] = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/%2A/load";

struct Reply {
  int code = 0;
  std::string body, type;
  Status failure;
};

std::string TrustText(const net::TestAuthority& front, const net::TestAuthority& clients) {
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
std::string Review(const json::Value& sent) {
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
                          auto made = std::make_unique<FakeKube>();
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
    kube->Set(testing::kPodsPath, "default/a", PodText("default", "a", "web"));
    kube->Set(testing::kPodsPath, "default/b", PodText("default", "b", "web"));
    kube->Set(testing::kPodsPath, "default/c", PodText("default", "c", "db"));
    kube->Set(testing::kPodsPath, "other/a", PodText("other", "a", "web"));
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
  FakeKube* kube = nullptr;
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

TEST_P(ApiServerSimTest, AnswersAsTheHpaAsks) {
  Settle();
  const size_t requests = kube->requests.size();
  const Reply reply = AskFor("hpa", Concat(kPods, "?labelSelector=app%3Dweb"),
                             "application/vnd.kubernetes.protobuf, */*");
  EXPECT_EQ(reply.code, 200) << reply.body;
  EXPECT_EQ(reply.type, "application/json");
  EXPECT_EQ(
      reply.body,
      R"({"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},)"
      R"("items":[{"describedObject":{"kind":"Pod","namespace":"default","name":"a",)"
      R"("apiVersion":"/v1"},"metric":{"name":"load","selector":null},)"
      R"("timestamp":"1970-01-01T00:00:00Z","value":"1"},{"describedObject":{"kind":"Pod",)"
      R"("namespace":"default","name":"b","apiVersion":"/v1"},"metric":{"name":"load",)"
      R"("selector":null},"timestamp":"1970-01-01T00:00:00Z","value":"2500m"}]})"
      "\n");
  // The pods were known, and a second question needs no review either.
  EXPECT_EQ(kube->requests.size(), requests + 1);
  EXPECT_EQ(AskFor("hpa", Concat(kPods, "?labelSelector=app%3Dweb")).code, 200);
  EXPECT_EQ(kube->requests.size(), requests + 1);
  // After ten seconds it is asked again.
  world.RunFor(11s);
  EXPECT_EQ(AskFor("hpa", Concat(kPods, "?labelSelector=app%3Dweb")).code, 200);
  EXPECT_EQ(kube->Count("POST", testing::kAccessReviewPath), 2u);
}

TEST_P(ApiServerSimTest, OneObjectNamespacesAndWhatThereIsNot) {
  Settle();
  const std::string prefix = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/";
  EXPECT_NE(AskFor("hpa", prefix + "pods/c/load").body.find("\"value\":\"4\""), std::string::npos);
  EXPECT_NE(
      AskFor("hpa", prefix + "metrics/load").body.find(R"("kind":"Namespace","name":"default")"),
      std::string::npos);
  EXPECT_EQ(source.asked.back().name_space, "");
  const auto message = [&](const std::string& target, int code) {
    const Reply reply = AskFor("hpa", target);
    EXPECT_EQ(reply.code, code) << reply.body;
    const auto parsed = json::Parse(reply.body);
    return parsed.ok() ? std::string(kube::TextAt(*parsed, "message")) : reply.body;
  };
  EXPECT_EQ(message(prefix + "pods/*/speed", 404),
            "the server could not find the metric speed for pods");
  EXPECT_EQ(message(prefix + "pods/none/load", 404),
            "the server could not find the metric load for pods none");
  EXPECT_EQ(message(prefix + "pods/*/speed?labelSelector=app%3Dnone", 404),
            "the server could not find the metric speed for pods");
  EXPECT_EQ(message(prefix + "nodes/n1/load", 404),
            "the server could not find the metric load for nodes");
  EXPECT_EQ(message(prefix + "widgets/n1/load", 404),
            "the server could not find the metric load for widgets");
  EXPECT_EQ(message("/apis/apps/v1/deployments", 404),
            "the server could not find the requested resource");
  EXPECT_EQ(message(prefix + "pods/*/load?labelSelector=a%20b", 400),
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
  // Nobody is meant by the selector: an empty list, as prometheus-adapter.
  const Reply empty = AskFor("hpa", prefix + "pods/*/load?labelSelector=app%3Dnone");
  EXPECT_EQ(empty.code, 200);
  EXPECT_NE(empty.body.find("\"items\":[]"), std::string::npos);
  EXPECT_EQ(AskFor("hpa", prefix + "pods/*/load", "text/html").code, 406);
  EXPECT_EQ(AskFor("hpa", prefix + "pods/*/load", "", "POST").code, 405);
}

TEST_P(ApiServerSimTest, Documents) {
  Settle();
  EXPECT_NE(AskFor("hpa", "/apis").body.find("APIGroupList"), std::string::npos);
  const Reply aggregated = AskFor(
      "hpa", "/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  EXPECT_EQ(aggregated.type,
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  EXPECT_NE(aggregated.body.find("\"subresource\":\"load\""), std::string::npos);
  EXPECT_NE(AskFor("hpa", "/apis/custom.metrics.k8s.io/v1beta1").body.find("\"pods/load\""),
            std::string::npos);
  for (const char* path :
       {"/", "/version", "/openapi/v2", "/openapi/v3", "/apis/custom.metrics.k8s.io",
        "/openapi/v3/apis/custom.metrics.k8s.io/v1beta2"}) {
    const Reply reply = AskFor("hpa", path);
    EXPECT_EQ(reply.code, 200) << path;
    EXPECT_TRUE(json::Parse(reply.body).ok()) << path;
  }
  const Reply metrics = AskFor("hpa", "/metrics");
  EXPECT_NE(metrics.body.find("tepal_metrics_api_requests_total{code=\"200\"}"), std::string::npos)
      << metrics.body;
  EXPECT_EQ(AskFor("eve", "/metrics").code, 403);
}

TEST_P(ApiServerSimTest, ExternalMetrics) {
  Settle();
  source.external["queue"] = {{{{"q", "a"}}, 3, WallTime{}, std::nullopt}};
  const std::string prefix = "/apis/external.metrics.k8s.io/v1beta1";
  EXPECT_NE(AskFor("hpa", prefix).body.find("\"queue\""), std::string::npos);
  EXPECT_NE(AskFor("hpa", prefix + "/namespaces/default/queue").body.find("\"value\":\"3\""),
            std::string::npos);
  EXPECT_EQ(AskFor("hpa", prefix + "/namespaces/default/none").code, 404);
}

// The matrix of who may: as Kubernetes' own servers answer.
TEST_P(ApiServerSimTest, WhoIsLetIn) {
  Settle();
  const auto code_of = [&](const net::TestAuthority::Issued* certificate, const Fields& fields,
                           const std::string& target = kPods) {
    return Ask(*Connect(certificate), target, fields).code;
  };
  const Fields as_hpa = {{"x-remote-user", "hpa"}};
  const net::TestAuthority stranger("front proxy");
  const auto wrong_authority = stranger.IssueFor("front-proxy-client", {});
  const auto wrong_name = front.IssueFor("somebody", {});
  const auto expired = front.IssueFor("front-proxy-client", {}, "", 1000);
  EXPECT_EQ(code_of(&proxy_certificate, as_hpa), 200);
  EXPECT_EQ(code_of(&wrong_authority, as_hpa), 401);
  EXPECT_EQ(code_of(&wrong_name, as_hpa), 401);
  EXPECT_EQ(code_of(&expired, as_hpa), 401);
  EXPECT_EQ(code_of(&proxy_certificate, {}), 401);
  EXPECT_EQ(code_of(&proxy_certificate, {{"x-remote-user", "eve"}}), 403);
  // Headers without the proxy's certificate say nothing.
  EXPECT_EQ(code_of(nullptr, as_hpa), 403);
  const auto own = clients.IssueFor("reader", {"team"});
  const auto master = clients.IssueFor("root", {"system:masters"});
  EXPECT_EQ(code_of(&own, {}), 200);
  EXPECT_EQ(code_of(&own, as_hpa), 200);  // As itself.
  EXPECT_EQ(code_of(&own, {}, "/apis"), 403);
  EXPECT_EQ(code_of(&master, {}, "/apis"), 200);
  EXPECT_EQ(code_of(nullptr, {{"authorization", "Bearer good"}}), 200);
  EXPECT_EQ(code_of(nullptr, {{"authorization", "bearer  good"}}), 200);
  EXPECT_EQ(code_of(nullptr, {{"authorization", "Bearer bad"}}), 401);
  EXPECT_EQ(code_of(nullptr, {{"authorization", "Basic eDp5"}}), 403);
  EXPECT_EQ(code_of(&wrong_authority, {{"authorization", "Bearer good"}}), 200);
  for (const char* path : {"/healthz", "/livez", "/readyz"}) {
    EXPECT_EQ(code_of(nullptr, {}, path), 200) << path;
  }
  EXPECT_EQ(code_of(nullptr, {}, "/healthz/ping"), 403);
  EXPECT_EQ(code_of(&wrong_authority, {}, "/healthz"), 401);

  const Reply anonymous = Ask(*Connect(nullptr), kPods);
  EXPECT_EQ(anonymous.code, 403);
  EXPECT_NE(anonymous.body.find(
                R"(User \"system:anonymous\" cannot get resource \"pods/load\" in API group )"
                R"(\"custom.metrics.k8s.io\" in the namespace \"default\")"),
            std::string::npos)
      << anonymous.body;
}

TEST_P(ApiServerSimTest, EverybodysIdentityIsAskedForWhole) {
  Settle();
  std::string asked;
  kube->reviews[testing::kAccessReviewPath] = [&](const json::Value&) -> std::string {
    asked = kube->requests.back().body;
    return R"({"allowed":true})";
  };
  proxy = Connect(&proxy_certificate);
  EXPECT_EQ(Ask(*proxy, kPods,
                {{"x-remote-user", "u"}, {"x-remote-group", "g"}, {"x-remote-extra-s", "v"}})
                .code,
            200);
  EXPECT_EQ(asked,
            R"({"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":)"
            R"({"resourceAttributes":{"namespace":"default","verb":"get",)"
            R"("group":"custom.metrics.k8s.io","version":"v1beta2","resource":"pods",)"
            R"("subresource":"load","name":"*"},"user":"u","groups":["g","system:authenticated"],)"
            R"("extra":{"s":["v"]}}})");
}

TEST_P(ApiServerSimTest, WhatCannotBeReviewedIsNotAllowed) {
  Settle();
  kube->down = true;
  Reply reply = AskFor("hpa", kPods);
  EXPECT_EQ(reply.code, 503) << reply.body;
  EXPECT_NE(reply.body.find("subjectaccessreviews"), std::string::npos);
  EXPECT_TRUE(source.asked.empty());
  reply = Ask(*Connect(nullptr), kPods, {{"authorization", "Bearer good"}});
  EXPECT_EQ(reply.code, 503);
  EXPECT_NE(reply.body.find("tokenreviews"), std::string::npos);
  kube->down = false;
  EXPECT_EQ(AskFor("hpa", kPods).code, 200);
  // An outage of a moment is not seen.
  kube->fail[testing::kAccessReviewPath] = 2;
  EXPECT_EQ(AskFor("reader", kPods).code, 200);
  // An answer that is no review is no yes.
  kube->reviews[testing::kAccessReviewPath] = [](const json::Value&) { return "7"; };
  EXPECT_EQ(AskFor("other", kPods).code, 503);
  kube->reviews[testing::kAccessReviewPath] = [](const json::Value&) {
    return R"({"allowed":true,"denied":true})";
  };
  EXPECT_EQ(AskFor("another", kPods).code, 403);
}

TEST_P(ApiServerSimTest, EqualQuestionsAreAskedOnce) {
  Settle();
  proxy = Connect(&proxy_certificate);
  int good = 0;
  for (int i = 0; i < 50; ++i) {
    Begin(*proxy, kPods, {{"x-remote-user", "hpa"}}, [&](const Reply& reply) {
      EXPECT_EQ(reply.code, 200) << reply.body;
      ++good;
    });
  }
  EXPECT_TRUE(world.RunUntil([&] { return good == 50; }, 60s));
  EXPECT_EQ(kube->Count("POST", testing::kAccessReviewPath), 1u);
}

// The authority of the front proxy is replaced while requests run: first both are trusted, as an
// administrator does it, then the new one alone. Connections stand; nothing fails.
TEST_P(ApiServerSimTest, TheAuthorityIsRotatedUnderLoad) {
  Settle();
  const net::TestAuthority next("next front proxy");
  const auto next_certificate = next.IssueFor("front-proxy-client", {});
  const auto old_proxy = Connect(&proxy_certificate);
  const auto new_proxy = Connect(&next_certificate);
  bool moved = false;
  int ended = 0;
  int active = 0;
  bool stop = false;
  Function<void()> one = [&] {
    if (stop) return;
    ++active;
    Begin(moved ? *new_proxy : *old_proxy, kPods, {{"x-remote-user", "hpa"}},
          [&](const Reply& reply) {
            --active;
            EXPECT_EQ(reply.code, 200) << reply.body << reply.failure.ToString();
            ++ended;
            one();
          });
  };
  for (int i = 0; i < 8; ++i) one();
  const auto run = [&](int count) {
    const int until = ended + count;
    EXPECT_TRUE(world.RunUntil([&] { return ended >= until; }, 60s));
  };
  run(50);
  std::string both = TrustText(front, clients);
  const std::string pem = front.certificate().text;
  std::string escaped, escaped_both;
  json::AppendEscaped(escaped, pem);
  json::AppendEscaped(escaped_both, pem + next.certificate().text);
  both.replace(both.find(escaped), escaped.size(), escaped_both);
  const auto before = trust->Get();
  kube->Set(testing::kTrustPath, "extension-apiserver-authentication", both);
  EXPECT_TRUE(world.RunUntil([&] { return trust->Get() != before; }, 60s));
  run(50);
  moved = true;
  run(50);
  stop = true;
  EXPECT_TRUE(world.RunUntil([&] { return active == 0; }, 60s));
  const auto between = trust->Get();
  kube->Set(testing::kTrustPath, "extension-apiserver-authentication", TrustText(next, clients));
  EXPECT_TRUE(world.RunUntil([&] { return trust->Get() != between; }, 60s));
  EXPECT_EQ(Ask(*new_proxy, kPods, {{"x-remote-user", "hpa"}}).code, 200);
  // The connection still stands, and what it has shown is worth nothing any more.
  EXPECT_EQ(Ask(*old_proxy, kPods, {{"x-remote-user", "hpa"}}).code, 401);
  EXPECT_EQ(old_proxy->counters().tls_handshakes,
            GetParam() ? 1u : old_proxy->counters().tls_handshakes);

  // Rubbish changes nothing.
  const auto now = trust->Get();
  kube->Set(testing::kTrustPath, "extension-apiserver-authentication",
            R"({"metadata":{"name":"extension-apiserver-authentication","namespace":"kube-system",)"
            R"("resourceVersion":"@"},"data":{"requestheader-client-ca-file":"rubbish"}})");
  world.RunFor(5s);
  kube->Remove(testing::kTrustPath, "extension-apiserver-authentication");
  world.RunFor(5s);
  EXPECT_EQ(trust->Get(), now);
  EXPECT_EQ(Ask(*new_proxy, kPods, {{"x-remote-user", "hpa"}}).code, 200);
}

TEST_P(ApiServerSimTest, PodsComeAndGo) {
  Settle();
  const std::string all = Concat(kPods, "?labelSelector=app+in+%28web%2Cnew%29");
  EXPECT_EQ(AskFor("hpa", all).code, 200);
  EXPECT_EQ(AskedNames(), "ab");
  const auto set = [&](const std::string& name, const std::string& text) {
    kube->Set(testing::kPodsPath, "default/" + name, text);
    world.RunFor(1s);
    EXPECT_EQ(AskFor("hpa", all).code, 200);
    return AskedNames();
  };
  // Loading since its start: left out until it is ready.
  EXPECT_EQ(set("d", PodText("default", "d", "new", "False", "2026-01-01T00:00:01Z")), "ab");
  EXPECT_EQ(set("d", PodText("default", "d", "new", "True", "2026-01-01T00:01:00Z")), "abd");
  // Ready once and not now: it may be too busy to say so.
  EXPECT_EQ(set("d", PodText("default", "d", "new", "False", "2026-01-01T00:09:00Z")), "abd");
  EXPECT_EQ(set("e", PodText("default", "e", "new", "False", "", "Pending")), "abd");
  EXPECT_EQ(set("e", PodText("default", "e", "new", "True", "2026-01-01T00:00:05Z", "Succeeded")),
            "abd");
  EXPECT_EQ(set("a", PodText("default", "a", "web", "True", "2026-01-01T00:00:05Z", "Running",
                             R"(,"deletionTimestamp":"2026-01-01T00:02:00Z")")),
            "bd");
  kube->Remove(testing::kPodsPath, "default/b");
  world.RunFor(1s);
  EXPECT_EQ(AskFor("hpa", all).code, 200);
  EXPECT_EQ(AskedNames(), "d");
  // By name it is answered whatever state it is in.
  EXPECT_EQ(
      AskFor("hpa", "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/a/load").code,
      200);
}

TEST_P(ApiServerSimTest, OtherKindsAreListed) {
  Settle();
  source.objects = {{{"apps", "deployments"}, true, "load"},
                    {{"example.com", "widgets"}, true, "load"}};
  source.values["w"] = 5;
  kube->Set("/apis/apps/v1/namespaces/default/deployments", "w",
            R"({"metadata":{"name":"w","namespace":"default"}})");
  const std::string prefix = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/";
  Reply reply = AskFor("hpa", prefix + "deployments.apps/*/load?labelSelector=a%3Db");
  EXPECT_EQ(reply.code, 200) << reply.body;
  EXPECT_NE(reply.body.find(R"("apiVersion":"apps/v1")"), std::string::npos);
  EXPECT_EQ(kube->requests.back().target,
            "/apis/apps/v1/namespaces/default/deployments?limit=500&labelSelector=a%3Db");
  // Of a kind that only the API server knows.
  kube->documents["/apis/example.com"] = R"({"preferredVersion":{"version":"v1alpha1"}})";
  kube->documents["/apis/example.com/v1alpha1"] =
      R"({"resources":[{"name":"widgets/status","kind":"X","namespaced":true},)"
      R"({"name":"widgets","kind":"Widget","namespaced":true}]})";
  reply = AskFor("hpa", prefix + "widgets.example.com/w/load");
  EXPECT_EQ(reply.code, 200) << reply.body;
  EXPECT_NE(reply.body.find(R"("kind":"Widget")"), std::string::npos);
  EXPECT_NE(reply.body.find(R"("apiVersion":"example.com/v1alpha1")"), std::string::npos);
  EXPECT_EQ(AskFor("hpa", prefix + "gadgets.example.com/w/load").code, 404);
  EXPECT_EQ(AskFor("hpa", prefix + "gadgets.example.org/w/load").code, 404);
  kube->down = true;
  reply = AskFor("hpa", prefix + "deployments.apps/*/load?labelSelector=a%3Dc");
  EXPECT_EQ(reply.code, 503);
  EXPECT_NE(reply.body.find("unable to list matching resources"), std::string::npos);
}

TEST_P(ApiServerSimTest, WhatTheSourceCannotSayIs503AndNeverEmpty) {
  Settle();
  source.health = Unavailable("Prometheus cannot be reached");
  Reply reply = AskFor("hpa", kPods);
  EXPECT_EQ(reply.code, 503);
  EXPECT_NE(reply.body.find("Prometheus cannot be reached"), std::string::npos);
  EXPECT_EQ(reply.body.find("retryAfterSeconds"), std::string::npos);
  EXPECT_EQ(AskFor("hpa", Concat(kPods, "?labelSelector=app%3Dnone")).code, 503);
  // Discovery is answered all the same: the cluster's own depends on it.
  EXPECT_EQ(AskFor("hpa", "/apis/custom.metrics.k8s.io/v1beta1").code, 200);
}

TEST_P(ApiServerSimTest, Readiness) {
  source.health = Unavailable("nothing seen yet");
  Settle();
  const auto anonymous = Connect(nullptr);
  EXPECT_EQ(Ask(*anonymous, "/readyz").code, 500);
  EXPECT_EQ(Ask(*anonymous, "/livez").code, 200);
  source.health = {};
  EXPECT_EQ(Ask(*anonymous, "/readyz").body, "ok");
  // Later outages do not take the API away.
  source.health = Unavailable("gone");
  EXPECT_EQ(Ask(*anonymous, "/readyz?verbose").body,
            "[+]ping ok\n[+]authentication ok\n[+]metric-source ok\n[+]shutdown ok\n"
            "readyz check passed\n");
  api->BeginShutdown();
  EXPECT_EQ(Ask(*anonymous, "/readyz").code, 500);
  EXPECT_EQ(Ask(*anonymous, "/livez").code, 200);
  source.health = {};
  EXPECT_EQ(AskFor("hpa", kPods).code, 200);  // Until it is drained it serves.
}

TEST_P(ApiServerSimTest, ReadyAfterAWhileWithoutASource) {
  source.health = Unavailable("nothing seen yet");
  Settle();
  const auto anonymous = Connect(nullptr);
  EXPECT_EQ(Ask(*anonymous, "/readyz").code, 500);
  world.RunFor(31s);
  EXPECT_EQ(Ask(*anonymous, "/readyz").code, 200);
}

TEST_P(ApiServerSimTest, ASourceThatDoesNotAnswerIs504) {
  Settle();
  source.never_answers = true;
  EXPECT_EQ(AskFor("hpa", kPods).code, 504);
  EXPECT_EQ(api->counts().requests_active, 0u);
}

TEST_P(ApiServerSimTest, TooManyAtOnceAre429) {
  Settle();
  source.never_answers = true;
  proxy = Connect(&proxy_certificate);
  std::map<int, int> codes;
  int ended = 0;
  for (int i = 0; i < 450; ++i) {
    Begin(*proxy, kPods, {{"x-remote-user", "hpa"}}, [&](const Reply& reply) {
      ++codes[reply.code];
      ++ended;
    });
  }
  // Health is answered in between.
  EXPECT_TRUE(world.RunUntil([&] { return GetParam() ? ended >= 50 : true; }, 20s));
  EXPECT_EQ(Ask(*Connect(nullptr), "/readyz").code, 200);
  EXPECT_TRUE(world.RunUntil([&] { return ended == 450; }, 600s));
  EXPECT_EQ(codes[504] + codes[429], 450);
  EXPECT_EQ(codes[429], 50);
}

// Whoever goes away is forgotten, at any moment.
TEST_P(ApiServerSimTest, ClientsThatLeave) {
  Settle();
  for (int i = 0; i < 40; ++i) {
    const auto leaving = Connect(&proxy_certificate);
    Begin(*leaving, kPods, {{"x-remote-user", Concat("u", i)}}, [](const Reply&) {});
    world.RunFor(Duration(world.random().Below(4'000'000)));
  }
  world.RunFor(5s);
  EXPECT_EQ(api->counts().requests_active, 0u);
  const Reply reply = AskFor("hpa", kPods);
  EXPECT_EQ(reply.code, 200) << reply.failure.ToString();
}

TEST_P(ApiServerSimTest, BeforeTheClusterHasAnswered) {
  kube->down = true;
  const auto with_certificate = Connect(&proxy_certificate);
  const Reply reply = Ask(*with_certificate, kPods, {{"x-remote-user", "hpa"}});
  EXPECT_EQ(reply.code, 503) << reply.body;
  EXPECT_EQ(Ask(*Connect(nullptr), "/readyz").code, 500);
  EXPECT_EQ(Ask(*Connect(nullptr), "/livez").code, 200);
  kube->down = false;
  Settle();
  EXPECT_EQ(Ask(*with_certificate, kPods, {{"x-remote-user", "hpa"}}).code, 200);
}

INSTANTIATE_TEST_SUITE_P(Versions, ApiServerSimTest, ::testing::Bool(),
                         [](const auto& which) { return which.param ? "Http2" : "Http1"; });

}  // namespace
}  // namespace tepal::custom_metrics
