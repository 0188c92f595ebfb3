// Talks to one API server from one event loop.
//
//   ASSIGN_OR_RETURN(auto client, kube::Client::New(loop, world, access, {}));
//   client->Get({kube::kNodes, "", "n1"}, [](kube::Answer answer) {
//     if (!answer.ok()) return Log(answer.status, answer.reason);
//     Use(answer.body);
//   });
//   client->Patch({kube::kNodes, "", "n1"}, kube::PatchKind::kMerge,
//                 R"({"metadata":{"labels":{"a":"b"}}})", done);
//
// It authenticates (client certificate, token, both read again as they rotate), resolves the
// server's name, pages through lists and decodes watches. It never repeats a request by itself,
// but once after a 401 when the token on disk has changed: retrying is the work of whoever knows
// what the request means. To keep a copy of a collection use informer.h, which does.
//
// Over TLS it speaks HTTP/2, so that a hundred watches are one connection and a dead one is noticed
// by its pings; HTTP/1.1 otherwise. Destroying the client drops what is in progress without a call.

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/function.h"
#include "core/env/clock.h"
#include "core/env/event_loop.h"
#include "core/env/file_system.h"
#include "network/kube/api.h"
#include "network/kube/cluster_access.h"
#include "network/kube/watch_decoder.h"
#include "network/net/resolver.h"

namespace tepal::kube {

struct Request {
  std::string method = "GET";
  std::string path;   // "/api/v1/nodes/n1", escaped.
  std::string query;  // "limit=500", escaped; empty for none.
  std::string body;   // JSON; empty for none.
  std::string content_type = "application/json";
};

enum class PatchKind {
  kMerge,      // RFC 7386: null removes.
  kStrategic,  // Lists merge by their keys; built-in kinds only.
  kJson,       // RFC 6902: a list of operations, with `test`.
  kApply,      // Server-side apply; the query needs fieldManager.
};

struct Selectors {
  std::string labels;  // "app=web,tier!=db"
  std::string fields;  // "metadata.name=n1"
};

struct ObjectList {
  std::vector<json::Value> objects;
  std::string resource_version;
};

class Client {
 public:
  struct World {
    env::FileSystem& files;
    const env::Clock& clock;
    net::Resolver& resolver;  // All three outlive the client.
  };
  struct Options {
    std::string user_agent = "tepal";
    Duration request_time_max = 30s;
    Duration connect_time_max = 10s;
    uint64_t answer_bytes_max = 64 << 20;  // Of one answer; a list is asked for in pages.
    int page_objects = 500;
    int pages_max = 1000;
    Duration watch_time = 300s;          // After which the server ends it; up to a third longer.
    Duration token_age_max = 60s;        // Then its file is read again.
    Duration tls_reload_interval = 10s;  // At most so often after failures to connect.
    bool http2 = true;                   // Over TLS.
  };
  using Done = Function<void(Answer)>;

  // Reads certificates now: an error names the file.
  static Result<std::unique_ptr<Client>> New(env::EventLoop& loop, World world,
                                             ClusterAccess access, Options options);
  ~Client();

  const ClusterAccess& access() const;

  // `done` runs exactly once, never inside the call.
  void Send(Request request, Done done);

  void Get(const ObjectRef& object, Done done);
  void Create(const Collection& collection, std::string object, Done done);
  // Replaces; refused with "Conflict" when the object's resourceVersion is not the present one.
  void Update(const ObjectRef& object, std::string content, Done done);
  void Patch(const ObjectRef& object, PatchKind kind, std::string patch, Done done,
             std::string query = {});
  // `options`: a DeleteOptions object, or empty.
  void Delete(const ObjectRef& object, std::string options, Done done);

  // All of it, page by page. When a page has expired, kOutOfRange and "Expired".
  void List(const Collection& collection, const Selectors& selectors,
            Function<void(Answer, ObjectList)> done);

  // A watch in progress; destroying it ends it without a call.
  class Watching {
   public:
    virtual ~Watching() = default;
  };
  // `on_end` is the last call: an OK answer when the server ended it in order. Either call may
  // destroy the handle.
  std::unique_ptr<Watching> Watch(const Collection& collection, const Selectors& selectors,
                                  const std::string& resource_version,
                                  Function<void(WatchEvent)> on_event, Done on_end);

 private:
  struct Impl;
  explicit Client(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace tepal::kube
