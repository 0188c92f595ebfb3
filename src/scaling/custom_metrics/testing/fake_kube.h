// A small API server for tests: collections with watches, single objects, and reviews.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "core/json/value.h"
#include "network/http/body_collector.h"
#include "network/http/stream.h"
#include "network/kube/client.h"
#include "network/net/resolver.h"

namespace tepal::custom_metrics::testing {

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

class FakeKube final : public http::RequestHandler {
 public:
  struct Request {
    std::string method, target, body;
  };
  std::vector<Request> requests;
  bool down = false;                // Every request is broken off.
  std::map<std::string, int> fail;  // Path -> how many more requests to it get 503.
  // What a POST to a path is answered with: the object's `status`. Absent: 404.
  std::map<std::string, Function<std::string(const json::Value& sent)>> reviews;
  std::map<std::string, std::string> documents;  // Path -> what a GET gives.

  // `object`: JSON with "@" for the resourceVersion. In the collection at `path`, by its name.
  void Set(const std::string& path, const std::string& name, std::string object) {
    Stored& stored = collections_[path][name];
    const char* const type = stored.version == 0 ? "ADDED" : "MODIFIED";
    stored = {std::move(object), ++version_};
    Tell(path, type, stored.Text());
  }
  void Remove(const std::string& path, const std::string& name) {
    collections_[path][name].version = ++version_;
    Tell(path, "DELETED", collections_[path][name].Text());
    collections_[path].erase(name);
  }

  size_t Count(std::string_view method, std::string_view path) const {
    size_t count = 0;
    for (const Request& one : requests) {
      if (one.method == method && std::string_view(one.target).starts_with(path)) ++count;
    }
    return count;
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
  struct Stored {
    std::string object;
    uint64_t version = 0;
    std::string Text() const {
      std::string text = object;
      const size_t at = text.find('@');
      if (at != std::string::npos) text.replace(at, 1, Concat(version));
      return text;
    }
  };
  struct Watcher {
    http::ResponseSender* sender;
    std::shared_ptr<bool> alive;
    std::string path;
  };
  struct Event {
    uint64_t version;
    std::string path, line;
  };

  static BufferList BodyOf(std::string_view text) {
    BufferList body;
    body.push_back(Buffer::Copy(text));
    return body;
  }
  static void Answer(http::ResponseSender& sender, int status, std::string_view text) {
    http::ResponseHead head;
    head.status = status;
    sender.Respond(std::move(head), BodyOf(text));
  }
  static void Refuse(http::ResponseSender& sender, int status, std::string_view reason) {
    Answer(sender, status,
           Concat("{\"kind\":\"Status\",\"code\":", status, ",\"reason\":\"", reason,
                  "\",\"message\":\"as the test wants it\"}"));
  }

  void Handle(const http::RequestHead& head, const std::string& body, http::ResponseSender& sender,
              const std::shared_ptr<bool>& alive) {
    if (!*alive) return;
    const std::string path(head.path());
    requests.push_back({head.method, head.target, body});
    if (down) return sender.Reset(2);
    if (const auto failing = fail.find(path); failing != fail.end() && failing->second > 0) {
      --failing->second;
      return Refuse(sender, 503, "ServiceUnavailable");
    }
    if (head.method == "POST") return Review(path, body, sender);
    if (head.method != "GET") return Answer(sender, 200, "{}");
    if (documents.contains(path)) return Answer(sender, 200, documents[path]);
    if (!collections_.contains(path)) return Refuse(sender, 404, "NotFound");
    if (head.query().find("watch=true") != std::string_view::npos) {
      return Watch(head, path, sender, alive);
    }
    std::string items;
    for (const auto& [name, stored] : collections_[path]) {
      items += Concat(items.empty() ? "" : ",", stored.Text());
    }
    Answer(
        sender, 200,
        Concat("{\"metadata\":{\"resourceVersion\":\"", version_, "\"},\"items\":[", items, "]}"));
  }

  void Review(const std::string& path, const std::string& body, http::ResponseSender& sender) {
    const auto found = reviews.find(path);
    if (found == reviews.end()) return Refuse(sender, 404, "NotFound");
    const auto sent = json::Parse(body);
    if (!sent.ok()) return Refuse(sender, 400, "BadRequest");
    Answer(sender, 201, Concat("{\"status\":", found->second(*sent), "}"));
  }

  void Watch(const http::RequestHead& head, const std::string& path, http::ResponseSender& sender,
             const std::shared_ptr<bool>& alive) {
    constexpr std::string_view kFrom = "resourceVersion=";
    const std::string_view query = head.query();
    std::string_view from = query.substr(query.find(kFrom) + kFrom.size());
    from = from.substr(0, from.find('&'));
    sender.Start({});
    for (const Event& event : history_) {
      if (event.path == path && event.version > *ParseNumber<uint64_t>(from)) {
        sender.Write(BodyOf(event.line));
      }
    }
    watchers_.push_back({&sender, alive, path});
  }

  void Tell(const std::string& path, std::string_view type, const std::string& object) {
    history_.push_back(
        {version_, path, Concat("{\"type\":\"", type, "\",\"object\":", object, "}\n")});
    for (const Watcher& watcher : watchers_) {
      if (*watcher.alive && watcher.path == path) {
        watcher.sender->Write(BodyOf(history_.back().line));
      }
    }
  }

  std::map<std::string, std::map<std::string, Stored>> collections_;
  std::vector<Watcher> watchers_;
  std::vector<Event> history_;
  uint64_t version_ = 100;
};

inline constexpr char kPodsPath[] = "/api/v1/pods";
inline constexpr char kTrustPath[] = "/api/v1/namespaces/kube-system/configmaps";
inline constexpr char kTokenReviewPath[] = "/apis/authentication.k8s.io/v1/tokenreviews";
inline constexpr char kAccessReviewPath[] = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

inline std::string PodText(std::string_view name_space, std::string_view name, std::string_view app,
                           std::string_view ready = "True",
                           std::string_view ready_since = "2026-01-01T00:00:05Z",
                           std::string_view phase = "Running", std::string_view more = "") {
  return Concat(R"({"metadata":{"name":")", name, R"(","namespace":")", name_space,
                R"(","resourceVersion":"@","labels":{"app":")", app, R"("})", more,
                R"(},"spec":{"containers":[{"name":"c","image":"i"}]},"status":{"phase":")", phase,
                R"(","startTime":"2026-01-01T00:00:00Z","conditions":[{"type":"Initialized",)",
                R"("status":"True"},{"type":"Ready","status":")", ready,
                R"(","lastTransitionTime":")", ready_since, R"("}]}})");
}

}  // namespace tepal::custom_metrics::testing
