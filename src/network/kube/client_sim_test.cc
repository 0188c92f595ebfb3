// The client and the informer over the simulated network, against a small API server of the test's
// own: paths and headers, pages, reasons, tokens that rotate, watches that break anywhere.

#include "network/kube/client.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/kube/informer.h"
#include "network/kube/leader_elector.h"
#include "network/kube/time_text.h"
#include "network/net/http_server.h"
#include "sim/world.h"

namespace tepal::kube {
namespace {

const env::Address kServer{env::Address::Family::kIp4, "10.0.0.1", 6443};

class MemoryFiles final : public env::FileSystem {
 public:
  std::map<std::string, std::string> files;
  Result<std::string> Read(const std::string& path, uint64_t) override {
    const auto found = files.find(path);
    if (found == files.end()) return NotFound(path + ": no such file");
    return found->second;
  }
  Result<std::vector<Entry>> List(const std::string&) override { return NotFound("no directory"); }
  Result<Facts> Stat(const std::string&) override { return NotFound("no file"); }
  Status Replace(const std::string&, std::string_view) override { return NotFound("read only"); }
  Status MakeDirectories(const std::string&) override { return NotFound("read only"); }
  Status Remove(const std::string&) override { return NotFound("read only"); }
};

class OneAddress final : public net::Resolver {
 public:
  void Resolve(env::EventLoop& loop, const net::HostPort&,
               Function<void(Result<std::vector<env::Address>>)> done) override {
    loop.Post([done = std::move(done)]() mutable { done(std::vector<env::Address>{kServer}); });
  }
};

// ConfigMaps and Leases of any namespace, with history and watches; one loop.
class ApiServer final : public http::RequestHandler {
 public:
  std::string token = "first";
  int unauthorized = 0;
  int lists = 0;
  std::vector<std::string> requests;           // "METHOD target | content-type | body"
  std::map<std::string, std::string> objects;  // Path -> JSON without its version.

  void Set(const std::string& path, const std::string& data) {
    const bool there = objects.contains(path);
    objects[path] = data;
    Record(there ? "MODIFIED" : "ADDED", path, data);
  }
  void Remove(const std::string& path) {
    const std::string data = objects[path];
    objects.erase(path);
    Record("DELETED", path, data);
  }
  void Forget() {
    oldest_ = version_;
    history_.clear();
  }
  void BreakWatches() {
    for (auto& watch : std::exchange(watches_, {})) {
      if (*watch.alive) watch.sender->Reset(2);
    }
  }

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    auto alive = std::make_shared<bool>(true);
    return std::make_unique<http::CollectingRequest>(
        head, 1 << 20, sender,
        [this, head, &sender, alive](Buffer body) {
          Handle(head, std::string(body.text()), sender, alive);
        },
        [alive](const Status&) { *alive = false; });
  }

 private:
  struct Event {
    uint64_t version;
    std::string line, path;
  };
  struct Watcher {
    http::ResponseSender* sender;
    std::shared_ptr<bool> alive;
    std::string prefix;
  };

  std::string TextOf(const std::string& path, const std::string& data, uint64_t version) const {
    const auto parts = Split(path, '/');
    return Concat("{\"metadata\":{\"name\":\"", parts.back(),
                  "\",\"namespace\":\"ns\",\"resourceVersion\":\"", version, "\"},", data, "}");
  }

  void Record(const std::string& type, const std::string& path, const std::string& data) {
    versions_[path] = ++version_;
    const Event event{
        version_,
        Concat("{\"type\":\"", type, "\",\"object\":", TextOf(path, data, version_), "}\n"), path};
    history_.push_back(event);
    for (const Watcher& watch : watches_) {
      if (*watch.alive && path.starts_with(watch.prefix)) Write(*watch.sender, event.line);
    }
  }

  static void Write(http::ResponseSender& sender, std::string_view text) {
    BufferList piece;
    piece.push_back(Buffer::Copy(text));
    sender.Write(std::move(piece));
  }
  static void Answer(http::ResponseSender& sender, int status, std::string_view body) {
    http::ResponseHead head;
    head.status = status;
    BufferList list;
    list.push_back(Buffer::Copy(body));
    sender.Respond(std::move(head), std::move(list));
  }
  static void Refuse(http::ResponseSender& sender, int status, std::string_view reason) {
    Answer(sender, status,
           Concat("{\"kind\":\"Status\",\"code\":", status, ",\"reason\":\"", reason,
                  "\",\"message\":\"as the test wants it\"}"));
  }

  static std::string QueryValue(const http::RequestHead& head, std::string_view name) {
    for (const std::string_view pair : Split(head.query(), '&')) {
      if (pair.starts_with(Concat(name, "="))) return std::string(pair.substr(name.size() + 1));
    }
    return {};
  }

  void Handle(const http::RequestHead& head, const std::string& body, http::ResponseSender& sender,
              const std::shared_ptr<bool>& alive) {
    if (!*alive) return;
    requests.push_back(Concat(head.method, " ", head.target, " | ",
                              head.headers.Get("content-type").value_or(""), " | ", body));
    if (head.headers.Get("authorization") != std::optional<std::string_view>("Bearer " + token)) {
      ++unauthorized;
      return Refuse(sender, 401, "Unauthorized");
    }
    const std::string path(head.path());
    if (head.method == "POST") return Put(path + "/made", body, true, sender);
    if (head.method == "PUT") return Put(path, body, false, sender);
    if (head.method == "PATCH") {
      Set(path, "\"patched\":true");
      return Answer(sender, 200, TextOf(path, objects[path], version_));
    }
    if (path.ends_with("configmaps") || path.ends_with("leases")) {
      return QueryValue(head, "watch") == "true" ? StartWatch(head, path, sender, alive)
                                                 : List(head, path, sender);
    }
    if (!objects.contains(path)) return Refuse(sender, 404, "NotFound");
    if (head.method == "DELETE") {
      Remove(path);
      return Answer(sender, 200, "{\"kind\":\"Status\",\"status\":\"Success\"}");
    }
    Answer(sender, 200, TextOf(path, objects[path], versions_[path]));
  }

  // A Lease: its version must be the present one.
  void Put(std::string path, const std::string& body, bool create, http::ResponseSender& sender) {
    const json::Value sent = json::Parse(body).value();
    if (create) path = path.substr(0, path.rfind('/') + 1) + std::string(NameOf(sent));
    if (create && objects.contains(path)) return Refuse(sender, 409, "AlreadyExists");
    if (!create && ResourceVersionOf(sent) != Concat(versions_[path])) {
      return Refuse(sender, 409, "Conflict");
    }
    const size_t spec = body.find("\"spec\"");
    Set(path,
        spec == std::string::npos ? "\"data\":{}" : body.substr(spec, body.size() - spec - 1));
    Answer(sender, create ? 201 : 200, TextOf(path, objects[path], version_));
  }

  void List(const http::RequestHead& head, const std::string& path, http::ResponseSender& sender) {
    ++lists;
    const uint64_t limit = *ParseNumber<uint64_t>(QueryValue(head, "limit"));
    const std::string from = QueryValue(head, "continue");
    std::string items, next;
    uint64_t count = 0;
    for (const auto& [object, data] : objects) {
      if (!object.starts_with(path + "/") || object <= Concat(path, "/", from)) continue;
      if (++count > limit) break;
      next = object.substr(path.size() + 1);
      items += Concat(items.empty() ? "" : ",", TextOf(object, data, versions_[object]));
    }
    if (count <= limit) next.clear();
    Answer(sender, 200,
           Concat("{\"metadata\":{\"resourceVersion\":\"", version_, "\",\"continue\":\"", next,
                  "\"},\"items\":[", items, "]}"));
  }

  void StartWatch(const http::RequestHead& head, const std::string& path,
                  http::ResponseSender& sender, const std::shared_ptr<bool>& alive) {
    const uint64_t from = *ParseNumber<uint64_t>(QueryValue(head, "resourceVersion"));
    if (from < oldest_) return Refuse(sender, 410, "Expired");
    sender.Start({});
    for (const Event& event : history_) {
      if (event.version > from && event.path.starts_with(path)) Write(sender, event.line);
    }
    watches_.push_back({&sender, alive, path});
  }

  std::vector<Event> history_;
  std::map<std::string, uint64_t> versions_;
  std::vector<Watcher> watches_;
  uint64_t version_ = 100;
  uint64_t oldest_ = 0;
};

const std::string kMaps = "/api/v1/namespaces/ns/configmaps";

struct Scenario {
  explicit Scenario(uint64_t seed, sim::NetworkOptions network = {})
      : world(seed, network), loop(world.AddLoop()) {
    server.emplace(std::vector<env::EventLoop*>{&loop}, net::HttpServer::Options{},
                   [this](env::EventLoop&) {
                     auto made = std::make_unique<ApiServer>();
                     api = made.get();
                     return made;
                   });
    EXPECT_TRUE(server->Listen(kServer).ok());
    files.files["/sa/token"] = "first\n";
    ClusterAccess access;
    access.host = "api.test";
    access.port = 6443;
    access.tls = false;
    access.token.path = "/sa/token";
    Client::Options options;
    options.page_objects = 3;
    client = Client::New(loop, {files, world.clock(), resolver}, access, options).value();
  }

  Answer Wait(Function<void(Client::Done)> begin) {
    std::optional<Answer> answer;
    begin([&answer](Answer got) { answer = std::move(got); });
    EXPECT_FALSE(answer.has_value()) << "called inside the call";
    EXPECT_TRUE(world.RunUntil([&] { return answer.has_value(); }, 120s));
    return answer ? *std::move(answer) : FailedAnswer(Internal("none"));
  }
  Answer Get(const std::string& name) {
    return Wait([&](Client::Done done) {
      client->Get({kConfigMaps, "ns", name, {}}, std::move(done));
    });
  }

  sim::World world;
  env::EventLoop& loop;
  MemoryFiles files;
  OneAddress resolver;
  ApiServer* api = nullptr;
  std::optional<net::HttpServer> server;
  std::unique_ptr<Client> client;
};

TEST(ClientSimulation, SendsWhatTheApiExpects) {
  Scenario s(1);
  s.api->Set(kMaps + "/a", "\"data\":{}");
  EXPECT_EQ(NameOf(s.Get("a").body), "a");
  const Answer none = s.Get("b");
  EXPECT_EQ(none.reason, "NotFound");
  EXPECT_EQ(none.status.message(),
            "GET /api/v1/namespaces/ns/configmaps/b: NotFound (HTTP 404): as the test wants it");

  const ObjectRef a{kConfigMaps, "ns", "a", {}};
  EXPECT_TRUE(s.Wait([&](auto done) {
                 s.client->Patch(a, PatchKind::kStrategic, "{}", std::move(done), "fieldManager=t");
               }).ok());
  EXPECT_EQ(s.api->requests.back(),
            "PATCH /api/v1/namespaces/ns/configmaps/a?fieldManager=t | "
            "application/strategic-merge-patch+json | {}");
  EXPECT_EQ(
      s.Wait([&](auto done) {
         s.client->Create({kConfigMaps, "ns"}, R"({"metadata":{"name":"a"}})", std::move(done));
       }).reason,
      "AlreadyExists");
  EXPECT_EQ(s.Wait([&](auto done) {
               s.client->Update(a, R"({"metadata":{"name":"a","resourceVersion":"1"}})",
                                std::move(done));
             }).reason,
            "Conflict");
  EXPECT_TRUE(s.Wait([&](auto done) { s.client->Delete(a, {}, std::move(done)); }).ok());
  EXPECT_EQ(s.Get("a").http_status, 404);
}

TEST(ClientSimulation, ReadsARotatedTokenAfterA401AndAfterAMinute) {
  Scenario s(2);
  s.api->Set(kMaps + "/a", "\"data\":{}");
  EXPECT_TRUE(s.Get("a").ok());
  s.api->token = "second";
  EXPECT_EQ(s.Get("a").reason, "Unauthorized");  // The file has not changed.
  EXPECT_EQ(s.api->unauthorized, 1);
  s.files.files["/sa/token"] = "second\n";
  EXPECT_TRUE(s.Get("a").ok());
  EXPECT_EQ(s.api->unauthorized, 2);
  s.api->token = "third";
  s.files.files["/sa/token"] = "third\n";
  s.world.RunFor(61s);
  EXPECT_TRUE(s.Get("a").ok());
  EXPECT_EQ(s.api->unauthorized, 2);  // Without having to be told.
  s.files.files.erase("/sa/token");
  s.world.RunFor(61s);
  EXPECT_TRUE(s.Get("a").ok());
}

TEST(ClientSimulation, ListsPageByPage) {
  Scenario s(3);
  for (int i = 0; i < 10; ++i) s.api->Set(Concat(kMaps, "/m", i), "\"data\":{}");
  ObjectList all;
  const Answer answer = s.Wait([&](Client::Done done) {
    s.client->List({kConfigMaps, "ns"}, {.labels = "a=b,c", .fields = {}},
                   [&all, done = std::move(done)](Answer got, ObjectList list) mutable {
                     all = std::move(list);
                     done(std::move(got));
                   });
  });
  ASSERT_TRUE(answer.ok()) << answer.status.ToString();
  EXPECT_EQ(all.objects.size(), 10u);
  EXPECT_EQ(s.api->lists, 4);
  EXPECT_NE(s.api->requests.front().find("labelSelector=a%3Db%2Cc"), std::string::npos);
}

TEST(ClientSimulation, AWatchMayBeDestroyedInItsOwnCall) {
  Scenario s(4);
  std::unique_ptr<Client::Watching> watching;
  int events = 0;
  watching = s.client->Watch(
      {kConfigMaps, "ns"}, {}, "100",
      [&](WatchEvent) {
        ++events;
        watching.reset();
      },
      [](Answer) { FAIL() << "after its end"; });
  s.world.RunFor(1s);
  s.api->Set(kMaps + "/a", "\"data\":{}");
  s.api->Set(kMaps + "/b", "\"data\":{}");
  s.world.RunFor(10s);
  EXPECT_EQ(events, 1);
}

// Connections break at any time; the history is forgotten now and then.
TEST(InformerSimulation, FollowsTheServerThroughBreaks) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    sim::NetworkOptions network;
    network.reset = 0.3;
    network.reset_after_max = 5s;
    network.connect_timeout = 0.05;
    network.segment_bytes_max = 200;
    Scenario s(seed, network);
    env::SeededRandom random(seed);
    std::map<std::string, std::string> told;  // Name -> version.
    bool synced = false;
    Informer informer(s.loop, *s.client, random, {kConfigMaps, "ns"}, {}, {});
    informer.Start({.on_change =
                        [&](const Change& change) {
                          if (change.kind == Change::Kind::kDeleted) {
                            told.erase(std::string(NameOf(*change.object)));
                          } else {
                            told[std::string(NameOf(*change.object))] =
                                ResourceVersionOf(*change.object);
                          }
                        },
                    .on_synced = [&] { synced = true; },
                    .on_trouble = nullptr});
    for (int i = 0; i < 200; ++i) {
      const std::string path = Concat(kMaps, "/m", random.Below(5));
      if (s.api->objects.contains(path) && random.Below(3) == 0) {
        s.api->Remove(path);
      } else {
        s.api->Set(path, Concat("\"data\":{\"x\":\"", std::string(random.Below(300), 'x'), "\"}"));
      }
      if (random.Below(20) == 0) s.api->Forget();
      if (random.Below(10) == 0) s.api->BreakWatches();
      s.world.RunFor(Duration(static_cast<int64_t>(random.Below(2'000'000'000))));
    }
    s.api->BreakWatches();
    s.world.RunFor(400s);  // A watch that went silent is ended by its timer.
    ASSERT_TRUE(synced) << "seed " << seed;
    std::set<std::string> truth, copy;
    for (const auto& [path, data] : s.api->objects) truth.insert(path.substr(kMaps.size() + 1));
    for (const auto& [name, version] : told) copy.insert(name);
    ASSERT_EQ(copy, truth) << "seed " << seed;
    ASSERT_EQ(informer.objects().size(), truth.size()) << "seed " << seed;
    for (const auto& [key, object] : informer.objects()) {
      ASSERT_EQ(told[std::string(NameOf(*object))], ResourceVersionOf(*object)) << "seed " << seed;
    }
  }
}

TEST(LeaderElectorSimulation, HandsOverWhenItResigns) {
  Scenario s(5);
  bool first = false, second = false, resigned = false;
  LeaderElector one(s.loop, *s.client, {"ns", "lease"}, {.identity = "one"});
  LeaderElector two(s.loop, *s.client, {"ns", "lease"}, {.identity = "two"});
  one.Start([&](bool leading) { first = leading; });
  ASSERT_TRUE(s.world.RunUntil([&] { return first; }, 10s));
  two.Start([&](bool leading) { second = leading; });
  s.world.RunFor(60s);
  EXPECT_TRUE(first && !second);
  one.Resign([&] { resigned = true; });
  ASSERT_TRUE(s.world.RunUntil([&] { return second && resigned; }, 10s));
  EXPECT_FALSE(first);
  const Answer lease = s.Wait([&](auto done) {
    s.client->Get({kLeases, "ns", "lease", {}}, std::move(done));
  });
  EXPECT_EQ(TextAt(lease.body, "spec", "holderIdentity"), "two");
  EXPECT_EQ(*lease.body.Find("spec")->Find("leaseTransitions")->AsInt(), 1);
  // Nobody answers any more: it stops leading in time.
  s.server.reset();
  ASSERT_TRUE(s.world.RunUntil([&] { return !second; }, 11s));
}

TEST(TimeText, IsRfc3339) {
  EXPECT_EQ(MicroTimeText(WallTime(1'700'000'000'000'005'000ns)), "2023-11-14T22:13:20.000005Z");
  EXPECT_EQ(TimeText(WallTime(1'700'000'000s)), "2023-11-14T22:13:20Z");
}

}  // namespace
}  // namespace tepal::kube
