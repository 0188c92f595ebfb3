// ModelStatistics and RepositoryIndex of every endpoint, over gRPC.

#include <string>
#include <utility>
#include <vector>

#include "balancing/load_balancer/gather.h"
#include "balancing/load_balancer/gather_record.h"
#include "balancing/load_balancer/gather_wish.h"
#include "balancing/load_balancer/grpc_terms.h"
#include "core/base/text.h"
#include "network/http/grpc.h"
#include "serving/kserve_wire/proto_fields.h"
#include "serving/kserve_wire/replica_messages.h"

namespace tepal::lb {

namespace {

constexpr size_t kAnswerBytesMax = 16u << 20;
constexpr size_t kTrailerBytesMax = 4096;  // Clients take 8 KiB of all of them.

// The name in a ModelStatisticsRequest.
std::string_view ModelOfStatistics(std::string_view request) {
  std::string_view name;
  for (ProtoFields fields(request); fields.Next();) {
    if (fields.number == 1) name = fields.bytes;
  }
  return name;
}

struct Replica {
  std::string endpoint;
  std::unique_ptr<net::HttpClient::Exchange> exchange;
  bool over = false;
  bool said = false;  // The status is the endpoint's own.
  Status status = Unavailable("no answer in time");
  Buffer message;
};

class GrpcGathering : public std::enable_shared_from_this<GrpcGathering> {
 public:
  GrpcGathering(const GatherDoor& door, http::RequestHead head, http::ResponseSender& sender)
      : door_(door),
        head_(std::move(head)),
        wish_(ReadWish(head_)),
        sender_(&sender),
        record_(door, head_) {}

  void Begin(Buffer request) {
    request_ = std::move(request);
    record_.OnRequest(request_.size(), is_index() ? "" : ModelOfStatistics(request_.text()));
    for (const auto& endpoint : door_.pool.Read(door_.loop.Now()).endpoints) {
      if (endpoint.state != EndpointState::kUp || !wish_.Wants(endpoint.spec)) continue;
      const env::Address& address = endpoint.spec.grpc_address.value_or(endpoint.spec.address);
      Replica& replica = replicas_.emplace_back();
      replica.endpoint = address.ToString();
      if (asked_.size() < kGatherMax) asked_.push_back(address);
    }
    if (asked_.empty() && !wish_.endpoint.empty()) {
      return Respond(NotFound(Concat("no endpoint '", wish_.endpoint, "' is up")), {});
    }
    if (asked_.empty()) return Respond(Unavailable("no endpoint is available"), {});
    waiting_ = asked_.size();
    timer_ = door_.loop.RunAfter(kGatherTimeMax, [self = shared_from_this()] {
      self->timer_ = 0;
      self->Answer();
    });
    for (size_t i = 0; i < asked_.size(); ++i) Ask(i);
  }

  void OnReset() {
    record_.OnClientGone();
    sender_ = nullptr;
    End();
  }

 private:
  void Ask(size_t index) {
    // What comes within Send comes later: the exchange must stand first.
    auto receiver = std::make_unique<http::GrpcUnaryResponse>(
        kAnswerBytesMax,
        [weak = weak_from_this(), &loop = door_.loop, index](http::GrpcEnd end, Buffer message) {
          loop.Defer([weak, index, status = std::move(end.status), message = std::move(message)] {
            if (const auto self = weak.lock()) self->OnAnswer(index, status, message);
          });
        });
    http::RequestHead head = http::MakeGrpcRequest("", head_.path(), kGatherTimeMax);
    for (const std::string_view name :
         {"authorization", "x-request-id", "traceparent", "tracestate"}) {
      if (const auto value = head_.headers.Get(name)) head.headers.Add(name, *value);
    }
    Replica& replica = replicas_[index];
    replica.exchange =
        door_.client.Send(asked_[index], std::move(head), false, std::move(receiver));
    BufferList message;
    if (request_.size() > 0) message.push_back(request_);
    http::GrpcWrite(replica.exchange->sender(), std::move(message));
    replica.exchange->sender().Finish();
  }

  void OnAnswer(size_t index, const Status& status, const Buffer& message) {
    Replica& replica = replicas_[index];
    if (sender_ == nullptr || std::exchange(replica.over, true)) return;
    record_.OnReplica(replica.endpoint);
    replica.status = status;
    replica.message = message;
    // What the network has done to it is UNAVAILABLE as well.
    replica.said = status.code() != StatusCode::kUnavailable;
    if (--waiting_ == 0) Answer();
  }

  void Answer() {
    for (const Replica& replica : replicas_) {
      if (replica.exchange != nullptr && !replica.over) record_.OnReplica(replica.endpoint);
    }
    std::vector<std::string_view> good;
    const Replica* refused = nullptr;
    for (const Replica& replica : replicas_) {
      if (replica.status.ok()) good.push_back(replica.message.text());
      if (!replica.status.ok() && replica.said && refused == nullptr) refused = &replica;
    }
    if (good.empty()) {
      return Respond(refused != nullptr ? refused->status : Unavailable("no endpoint has answered"),
                     {});
    }
    if (wish_.per_replica) return AnswerEach();
    Respond(Status(), is_index() ? MergeIndexMessages(good, AsksReadyOnly(request_.text()))
                                 : MergeStatisticsMessages(good));
  }

  void AnswerEach() {
    std::string message, entries;
    for (const Replica& replica : replicas_) {
      if (!replica.status.ok() && !replica.said) continue;
      const size_t count = replica.status.ok() ? AppendEntries(replica.message.text(), message) : 0;
      entries += Concat(entries.empty() ? "" : ", ", replica.endpoint, "=", count);
    }
    if (entries.size() > kTrailerBytesMax) {
      return Respond(ResourceExhausted("too many endpoints to say whose the entries are; ask one "
                                       "after the other with tepal-endpoint"),
                     {});
    }
    Respond(Status(), message, entries);
  }

  void Respond(const Status& status, const std::string& message, const std::string& entries = "") {
    const auto self = shared_from_this();  // Answering may end the call, and what holds this.
    http::Headers trailers;
    size_t answered = 0;
    std::string missing;
    for (const Replica& replica : replicas_) {
      if (replica.status.ok() || replica.said) {
        ++answered;
      } else {
        missing += Concat(missing.empty() ? "" : ", ", replica.endpoint);
      }
    }
    trailers.Add("x-request-id", head_.headers.Get("x-request-id").value_or(""));
    trailers.Add("tepal-replicas", Concat(answered, " of ", replicas_.size()));
    if (!missing.empty()) trailers.Add("tepal-missing", missing.substr(0, kTrailerBytesMax));
    if (!entries.empty()) trailers.Add("tepal-entries", entries);
    record_.OnAnswered(HttpStatusOfGrpc(status.code()), message.size(), status.message());
    http::ResponseSender* const sender = std::exchange(sender_, nullptr);
    if (!status.ok()) {
      http::GrpcRespondError(*sender, status, &trailers);
    } else {
      BufferList body;
      if (!message.empty()) body.push_back(Buffer::Copy(message));
      http::GrpcRespond(*sender, std::move(body), nullptr, {}, &trailers);
    }
    End();
  }

  void End() {
    if (timer_ != 0) door_.loop.Cancel(std::exchange(timer_, 0));
    replicas_.clear();
  }

  bool is_index() const { return head_.path().ends_with("/RepositoryIndex"); }

  const GatherDoor door_;
  const http::RequestHead head_;
  const GatherWish wish_;
  http::ResponseSender* sender_;  // Null when the client has its answer, or has gone.
  GatherRecord record_;
  Buffer request_;
  std::vector<env::Address> asked_;
  std::vector<Replica> replicas_;
  size_t waiting_ = 0;
  env::EventLoop::TimerId timer_ = 0;
};

}  // namespace

bool IsGrpcGathered(std::string_view path) {
  return path == "/inference.GRPCInferenceService/ModelStatistics" ||
         path == "/inference.GRPCInferenceService/RepositoryIndex";
}

std::unique_ptr<http::RequestReceiver> GatherGrpc(const GatherDoor& door,
                                                  const http::RequestHead& head,
                                                  http::ResponseSender& sender) {
  auto gathering = std::make_shared<GrpcGathering>(door, head, sender);
  return std::make_unique<http::GrpcUnaryRequest>(
      head, sender, kGatherBodyBytesMax,
      [gathering](Buffer request) { gathering->Begin(std::move(request)); },
      [gathering](const Status&) { gathering->OnReset(); });
}

}  // namespace tepal::lb
