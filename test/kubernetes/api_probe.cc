// The client of src/network/kube against a real API server: one program, told what to do on its
// command line, for test_client.py to compare with what kubectl sees.
//
//   api_probe KUBECONFIG cases       every kind of request once; one line each, "ok CASE" or
//   "FAILED CASE: why" api_probe KUBECONFIG follow NS   a copy of the ConfigMaps of NS: "set NAME
//   VERSION", "deleted NAME", "synced" api_probe KUBECONFIG lead ID     leader election on the
//   Lease default/probe: "leading", "following"; SIGTERM resigns

#include <csignal>
#include <cstdio>
#include <deque>

#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "network/kube/informer.h"
#include "network/kube/leader_elector.h"

namespace tepal {
namespace {

using kube::Answer;

void Say(std::string_view text) {
  std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
  std::fflush(stdout);
}

struct Case {
  std::string name;
  Function<void(kube::Client::Done)> begin;
  Function<std::string(const Answer&)> check;  // Empty when it is right; why not otherwise.
};

std::string Expect(bool right, std::string_view otherwise) {
  return right ? std::string() : std::string(otherwise);
}
Function<std::string(const Answer&)> Succeeds() {
  return
      [](const Answer& answer) { return answer.ok() ? std::string() : answer.status.ToString(); };
}
Function<std::string(const Answer&)> FailsWith(int http_status, std::string reason) {
  return [http_status, reason](const Answer& answer) {
    return Expect(answer.http_status == http_status && answer.reason == reason,
                  Concat("got ", answer.status.ToString(), " with reason '", answer.reason, "'"));
  };
}

class Cases {
 public:
  Cases(kube::Client& client, Function<void(int)> done) : client_(client), done_(std::move(done)) {
    Fill();
  }

  void Next() {
    if (cases_.empty()) return done_(failed_);
    cases_.front().begin([this](Answer answer) {
      Case current = std::move(cases_.front());
      cases_.pop_front();
      const std::string why = current.check(answer);
      failed_ += !why.empty();
      Say(why.empty() ? Concat("ok ", current.name) : Concat("FAILED ", current.name, ": ", why));
      Next();
    });
  }

 private:
  void Add(std::string name, Function<void(kube::Client::Done)> begin,
           Function<std::string(const Answer&)> check) {
    cases_.push_back({std::move(name), std::move(begin), std::move(check)});
  }
  kube::ObjectRef Map(std::string name) const {
    return {kube::kConfigMaps, "default", std::move(name), {}};
  }

  void Fill() {
    Add(
        "get of nothing", [this](auto done) { client_.Get(Map("probe"), std::move(done)); },
        FailsWith(404, "NotFound"));
    const std::string object = R"({"metadata":{"name":"probe"},"data":{"a":"1"}})";
    const kube::Collection maps{kube::kConfigMaps, "default"};
    Add(
        "create", [=, this](auto done) { client_.Create(maps, object, std::move(done)); },
        Succeeds());
    Add(
        "create again", [=, this](auto done) { client_.Create(maps, object, std::move(done)); },
        FailsWith(409, "AlreadyExists"));
    Add(
        "update of an old version",
        [this](auto done) {
          client_.Update(Map("probe"), R"({"metadata":{"name":"probe","resourceVersion":"1"}})",
                         std::move(done));
        },
        FailsWith(409, "Conflict"));
    Add(
        "create without a name",
        [=, this](auto done) { client_.Create(maps, R"({"metadata":{}})", std::move(done)); },
        [](const Answer& a) {
          return Expect(a.http_status == 422 && a.reason == "Invalid", a.status.ToString());
        });
    Add(
        "merge patch",
        [this](auto done) {
          client_.Patch(Map("probe"), kube::PatchKind::kMerge, R"({"data":{"a":null,"b":"2"}})",
                        std::move(done));
        },
        [](const Answer& a) {
          return Expect(a.ok() && kube::TextAt(a.body, "data", "b") == "2" &&
                            kube::TextAt(a.body, "data", "a").empty(),
                        a.status.ToString());
        });
    Add(
        "JSON patch",
        [this](auto done) {
          client_.Patch(
              Map("probe"), kube::PatchKind::kJson,
              R"([{"op":"test","path":"/data/b","value":"2"},{"op":"replace","path":"/data/b","value":"3"}])",
              std::move(done));
        },
        [](const Answer& a) {
          return Expect(a.ok() && kube::TextAt(a.body, "data", "b") == "3", a.status.ToString());
        });
    Add(
        "JSON patch whose test fails",
        [this](auto done) {
          client_.Patch(Map("probe"), kube::PatchKind::kJson,
                        R"([{"op":"test","path":"/data/b","value":"2"}])", std::move(done));
        },
        FailsWith(422, "Invalid"));
    Add(
        "strategic patch of a label",
        [this](auto done) {
          client_.Patch(Map("probe"), kube::PatchKind::kStrategic,
                        R"({"metadata":{"labels":{"x/y":"z"}}})", std::move(done));
        },
        [](const Answer& a) {
          const std::string* label = kube::LabelOf(a.body, "x/y");
          return Expect(a.ok() && label != nullptr && *label == "z", a.status.ToString());
        });
    Add(
        "server-side apply",
        [this](auto done) {
          client_.Patch(
              Map("applied"), kube::PatchKind::kApply,
              R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"applied"},"data":{"c":"4"}})",
              std::move(done), "fieldManager=probe");
        },
        Succeeds());
    Add(
        "list by label, in pages of one",
        [this](auto done) {
          client_.List(
              {kube::kConfigMaps, ""}, {},
              [done = std::move(done)](Answer answer, kube::ObjectList list) mutable {
                if (answer.ok() && (list.objects.size() < 3 || list.resource_version.empty())) {
                  answer.status = Internal(Concat("only ", list.objects.size(), " objects"));
                }
                done(std::move(answer));
              });
        },
        Succeeds());
    Add(
        "scale of a Deployment",
        [this](auto done) {
          client_.Get({{"apps", "v1", "deployments"}, "default", "scaled", "scale"},
                      std::move(done));
        },
        [](const Answer& a) {
          return Expect(a.ok() && kube::TextAt(a.body, "kind") == "Scale", a.status.ToString());
        });
    Add(
        "status of a node",
        [this](auto done) {
          client_.Patch({kube::kNodes, "", "n1", "status"}, kube::PatchKind::kJson,
                        R"([{"op":"add","path":"/status/capacity/tepal.test~1slots","value":"7"}])",
                        std::move(done));
        },
        Succeeds());
    for (const char* name : {"probe", "applied"}) {
      Add(
          Concat("delete ", name),
          [=, this](auto done) { client_.Delete(Map(name), {}, std::move(done)); }, Succeeds());
    }
    Add(
        "get after delete", [this](auto done) { client_.Get(Map("probe"), std::move(done)); },
        FailsWith(404, "NotFound"));
  }

  kube::Client& client_;
  Function<void(int)> done_;
  std::deque<Case> cases_;
  int failed_ = 0;
};

class NumericOnly final : public net::Resolver {
 public:
  void Resolve(env::EventLoop& loop, const net::HostPort& name,
               Function<void(Result<std::vector<env::Address>>)> done) override {
    loop.Post([name, done = std::move(done)]() mutable { done(net::ResolveBlocking(name)); });
  }
};

struct Probe {
  std::unique_ptr<runtime::EpollLoop> loop;
  NumericOnly resolver;
  std::unique_ptr<kube::Client> client;
  env::SeededRandom random{runtime::RandomSeed()};

  Status Start(const std::string& kubeconfig) {
    ASSIGN_OR_RETURN(loop, runtime::EpollLoop::New());
    ASSIGN_OR_RETURN(const std::string text, runtime::SystemFileSystem().Read(kubeconfig));
    ASSIGN_OR_RETURN(kube::ClusterAccess access, kube::ParseKubeconfig(text, kubeconfig));
    kube::Client::Options options;
    options.page_objects = 1;
    options.watch_time = 20s;
    ASSIGN_OR_RETURN(
        client,
        kube::Client::New(*loop, {runtime::SystemFileSystem(), runtime::SystemClock(), resolver},
                          std::move(access), options));
    return Status();
  }
};

int RunCases(Probe& probe) {
  int failed = 0;
  Cases cases(*probe.client, [&](int count) {
    failed = count;
    probe.loop->Stop();
  });
  cases.Next();
  probe.loop->Run();
  return failed == 0 ? 0 : 1;
}

int Follow(Probe& probe, const std::string& name_space) {
  kube::Informer informer(*probe.loop, *probe.client, probe.random, {kube::kConfigMaps, name_space},
                          {}, {});
  (void)probe.loop->WatchSignals({SIGTERM}, [&](int) { probe.loop->Stop(); });
  informer.Start({.on_change =
                      [](const kube::Change& change) {
                        const std::string_view name = kube::NameOf(*change.object);
                        if (change.kind == kube::Change::Kind::kDeleted)
                          return Say(Concat("deleted ", name));
                        Say(Concat("set ", name, " ", kube::TextAt(*change.object, "data", "n")));
                      },
                  .on_synced = [] { Say("synced"); },
                  .on_trouble = [](const Status& why) { Say(Concat("trouble ", why.message())); }});
  probe.loop->Run();
  return 0;
}

int Lead(Probe& probe, const std::string& identity) {
  kube::LeaderElection::Options options;
  options.identity = identity;
  options.lease_duration = 3s;
  options.renew_deadline = 2s;
  options.retry_period = 500ms;
  kube::LeaderElector elector(*probe.loop, *probe.client, {"default", "probe"}, options);
  (void)probe.loop->WatchSignals({SIGTERM},
                                 [&](int) { elector.Resign([&] { probe.loop->Stop(); }); });
  elector.Start([](bool leading) { Say(leading ? "leading" : "following"); });
  probe.loop->Run();
  return 0;
}

int Main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  Probe probe;
  if (words.size() >= 3) {
    if (const Status status = probe.Start(words[1]); !status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      return 1;
    }
    if (words[2] == "cases") return RunCases(probe);
    if (words[2] == "follow" && words.size() == 4) return Follow(probe, words[3]);
    if (words[2] == "lead" && words.size() == 4) return Lead(probe, words[3]);
  }
  std::fputs("usage: api_probe KUBECONFIG cases | follow NAMESPACE | lead IDENTITY\n", stderr);
  return 2;
}

}  // namespace
}  // namespace tepal

int main(int argc, char** argv) { return tepal::Main(argc, argv); }
