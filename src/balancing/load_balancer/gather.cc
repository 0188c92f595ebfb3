#include "balancing/load_balancer/gather.h"

#include <string>
#include <utility>
#include <vector>

#include "balancing/load_balancer/gather_record.h"
#include "balancing/load_balancer/gather_wish.h"
#include "core/base/text.h"
#include "core/json/value.h"
#include "core/json/writer.h"
#include "network/http/body_collector.h"
#include "serving/kserve_wire/replica_answers.h"

namespace tepal::lb {

namespace {

constexpr int kOk = 200;

bool IsIndex(std::string_view path) {
  return path.starts_with("/v2/repository/") && path.ends_with("/index");
}

struct Replica {
  std::string endpoint;
  std::string name;
  int status = 0;  // 0: no answer.
  Buffer body;
  std::string error;
};

// From the client's request to the last endpoint's answer; held by those that are still asked.
class Gathering : public std::enable_shared_from_this<Gathering> {
 public:
  Gathering(const GatherDoor& door, http::RequestHead head, http::ResponseSender& sender)
      : door_(door),
        head_(std::move(head)),
        index_(IsIndex(head_.path())),
        wish_(ReadWish(head_)),
        sender_(&sender),
        record_(door, head_) {}

  void Begin(const Buffer& body) {
    record_.OnRequest(body.size());
    if (const Result<json::Value> wish = json::Parse(body.text()); wish.ok()) {
      const json::Value* ready = wish->Find("ready");
      ready_only_ = ready != nullptr && ready->AsBool() != nullptr && *ready->AsBool();
    }
    const auto endpoints = door_.pool.Read(door_.loop.Now()).endpoints;
    std::vector<env::Address> asked;
    for (const Dispatcher::EndpointStatus& endpoint : endpoints) {
      if (endpoint.state != EndpointState::kUp || !wish_.Wants(endpoint.spec)) continue;
      Replica& replica = replicas_.emplace_back();
      replica.endpoint = endpoint.spec.address.ToString();
      replica.name = endpoint.spec.name;
      if (asked.size() >= kGatherMax) {
        replica.error = Concat("not asked: more than ", kGatherMax, " endpoints");
        continue;
      }
      asked.push_back(endpoint.spec.address);
    }
    if (asked.empty() && !wish_.endpoint.empty()) {
      return Error(404, Concat("no endpoint '", wish_.endpoint, "' is up"));
    }
    if (asked.empty()) return Error(503, "no endpoint is available");
    waiting_ = asked.size();
    for (size_t i = 0; i < asked.size(); ++i) Ask(i, asked[i], body);
  }

  void OnReset() {
    sender_ = nullptr;
    record_.OnClientGone();
  }

 private:
  void Ask(size_t index, const env::Address& address, const Buffer& body) {
    http::RequestHead head;
    head.method = head_.method;
    head.target = head_.path();
    for (const auto field : head_.headers) {
      if (field.name != "accept-encoding") head.headers.Add(field.name, field.value);
    }
    BufferList list;
    if (body.size() > 0) list.push_back(body);
    door_.client.Fetch(
        address, std::move(head), std::move(list), kGatherTimeMax,
        [self = shared_from_this(), index](Result<net::HttpClient::Response> answer) {
          self->OnAnswer(index, std::move(answer));
        });
  }

  void OnAnswer(size_t index, Result<net::HttpClient::Response> answer) {
    Replica& replica = replicas_[index];
    record_.OnReplica(replica.endpoint);
    if (answer.ok()) {
      replica.status = answer->head.status;
      replica.body = answer->body;
    } else {
      replica.error = answer.status().message();
    }
    if (--waiting_ == 0 && sender_ != nullptr) Answer();
  }

  void Answer() {
    if (wish_.per_replica) return Respond(kOk, EachAnswer());
    std::vector<std::string_view> good;
    const Replica* refused = nullptr;
    for (const Replica& replica : replicas_) {
      if (replica.status == kOk) {
        good.push_back(replica.body.text());
      } else if (replica.status != 0 && refused == nullptr) {
        refused = &replica;
      }
    }
    if (good.empty() && refused != nullptr) {
      return Respond(refused->status, std::string(refused->body.text()));
    }
    if (good.empty()) return Error(502, "no endpoint has answered");
    const Result<std::string> merged =
        index_ ? MergeIndexes(good, ready_only_) : MergeStatistics(good);
    if (!merged.ok()) return Error(502, merged.status().message());
    Respond(kOk, *merged);
  }

  std::string EachAnswer() const {
    json::Writer out;
    out.BeginObject().Key("replicas").BeginArray();
    for (const Replica& replica : replicas_) {
      out.BeginObject().Key("endpoint").String(replica.endpoint).Key("name").String(replica.name);
      if (replica.status == 0) {
        out.Key("error").String(replica.error);
      } else {
        out.Key("status").Int(replica.status);
        const std::string_view text = replica.body.text();
        out.Key("answer");
        json::Parse(text).ok() ? out.Raw(text) : out.String(text);
      }
      out.EndObject();
    }
    out.EndArray().EndObject();
    return out.Take();
  }

  void Error(int status, std::string_view message) {
    json::Writer out;
    out.BeginObject().Key("error").String(message).EndObject();
    Respond(status, out.Take(), message);
  }

  void Respond(int status, const std::string& json, std::string_view error = {}) {
    http::ResponseHead head;
    head.status = status;
    head.headers.Add("content-type", "application/json");
    head.headers.Add("x-request-id", head_.headers.Get("x-request-id").value_or(""));
    size_t answered = 0;
    std::string missing;
    for (const Replica& replica : replicas_) {
      if (replica.status != 0) {
        ++answered;
        continue;
      }
      missing += Concat(missing.empty() ? "" : ", ", replica.endpoint, " (", replica.error, ")");
    }
    head.headers.Add("tepal-replicas", Concat(answered, " of ", replicas_.size()));
    constexpr size_t kMissingMax = 4096;
    if (!missing.empty()) head.headers.Add("tepal-missing", missing.substr(0, kMissingMax));
    record_.OnAnswered(status, json.size(), error);
    BufferList body;
    body.push_back(Buffer::Copy(json));
    std::exchange(sender_, nullptr)->Respond(std::move(head), std::move(body));
  }

  const GatherDoor door_;
  const http::RequestHead head_;
  const bool index_;
  const GatherWish wish_;
  bool ready_only_ = false;
  http::ResponseSender* sender_;  // Null when the client has its answer, or has gone.
  GatherRecord record_;
  std::vector<Replica> replicas_;
  size_t waiting_ = 0;
};

}  // namespace

bool IsGathered(const http::RequestHead& head) {
  const std::string_view path = head.path();
  if (head.method == "POST") return IsIndex(path);
  return head.method == "GET" && path.starts_with("/v2/models/") && path.ends_with("/stats");
}

std::unique_ptr<http::RequestReceiver> Gather(const GatherDoor& door, const http::RequestHead& head,
                                              http::ResponseSender& sender) {
  auto gathering = std::make_shared<Gathering>(door, head, sender);
  return std::make_unique<http::CollectingRequest>(
      head, kGatherBodyBytesMax, sender,
      [gathering](const Buffer& body) { gathering->Begin(body); },
      [gathering](const Status&) { gathering->OnReset(); });
}

}  // namespace tepal::lb
