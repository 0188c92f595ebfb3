#include "serving/frontend/grpc/grpc_health_watch.h"

#include <utility>
#include <vector>

#include "network/http/grpc.h"
#include "serving/frontend/grpc/grpc_answer_message.h"
#include "serving/frontend/grpc/grpc_reflection.h"
#include "serving/kserve/proto_reader.h"

namespace tepal {

Buffer HealthMessage(ServingStatus status) {
  return AnswerMessage([status](kserve::ProtoWriter& out) {
    if (status != ServingStatus::kUnknown) out.Varint(1, static_cast<uint64_t>(status));
  });
}

// One Watch call.
class GrpcHealthWatches::Exchange final : public http::RequestReceiver {
 public:
  Exchange(GrpcHealthWatches& watches, const http::RequestHead& head, http::ResponseSender& sender)
      : watches_(watches),
        sender_(sender),
        unary_(head, sender, watches.options_.message_bytes_max,
               [this](const Buffer& message) { Begin(message); }) {}
  ~Exchange() override { watches_.Remove(this); }

  std::span<std::byte> BodyRoom(size_t expected) override { return unary_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { unary_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { unary_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override {
    watches_.Remove(this);
    unary_.OnReset(why);
  }

  const std::string& service() const { return service_; }
  void OnDrain(size_t) override {
    drains_ = true;
    if (begun_) End();
  }
  void Send(ServingStatus status) { http::GrpcWrite(sender_, {HealthMessage(status)}); }

 private:
  void Begin(const Buffer& message) {
    std::string_view service;
    kserve::ProtoReader reader(message.text());
    while (reader.Next()) {
      if (reader.field() == 1) {
        reader.Bytes(service);
      } else {
        reader.Skip();
      }
    }
    if (!reader.ok()) return http::GrpcRespondError(sender_, UnparsableRequest());
    service_ = service;
    http::GrpcStart(sender_);
    watches_.Add(this);
    begun_ = true;
    if (drains_) End();
  }
  void End() {
    watches_.Remove(this);
    http::GrpcFinish(sender_, ServerDrains());
  }

  GrpcHealthWatches& watches_;
  http::ResponseSender& sender_;
  std::string service_;
  bool begun_ = false;
  bool drains_ = false;
  http::GrpcUnaryRequest unary_;
};

GrpcHealthWatches::~GrpcHealthWatches() {
  if (timer_ != 0) loop_.Cancel(timer_);
}

std::unique_ptr<http::RequestReceiver> GrpcHealthWatches::Watch(const http::RequestHead& head,
                                                                http::ResponseSender& sender) {
  return std::make_unique<Exchange>(*this, head, sender);
}

ServingStatus GrpcHealthWatches::StatusOf(const std::string& service) {
  const bool known = service.empty() || IsGrpcService(service) || core_.Find(service, -1).ok();
  if (!known) return ServingStatus::kServiceUnknown;
  return core_.Ready() ? ServingStatus::kServing : ServingStatus::kNotServing;
}

void GrpcHealthWatches::Add(Exchange* exchange) {
  const ServingStatus status = StatusOf(exchange->service());
  watches_[exchange] = status;
  exchange->Send(status);
  if (timer_ == 0) timer_ = loop_.RunAfter(kInterval, [this] { LookAgain(); });
}

void GrpcHealthWatches::Remove(Exchange* exchange) {
  watches_.erase(exchange);
  if (!watches_.empty() || timer_ == 0) return;
  loop_.Cancel(std::exchange(timer_, 0));
}

void GrpcHealthWatches::LookAgain() {
  timer_ = loop_.RunAfter(kInterval, [this] { LookAgain(); });
  std::vector<Exchange*> changed;  // Sending may end one.
  for (auto& [exchange, sent] : watches_) {
    const ServingStatus status = StatusOf(exchange->service());
    if (status != std::exchange(sent, status)) changed.push_back(exchange);
  }
  for (Exchange* exchange : changed) {
    const auto found = watches_.find(exchange);
    if (found != watches_.end()) exchange->Send(found->second);
  }
}

}  // namespace tepal
