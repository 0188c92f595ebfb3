// Inside of client.cc: one watch from its request to its last call.
//
// What the server sends is decoded as it comes and handed out in a task of its own, so that whoever
// takes an event may destroy the watch.

#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "network/kube/client.h"
#include "network/net/http_client.h"

namespace tepal::kube {

class WatchCall : public std::enable_shared_from_this<WatchCall> {
 public:
  WatchCall(env::EventLoop& loop, Function<void(WatchEvent)> on_event, Client::Done on_end)
      : loop_(loop), on_event_(std::move(on_event)), on_end_(std::move(on_end)) {}
  ~WatchCall() { Close(); }

  void ArmTimer(Duration time_max);
  void Begin(net::HttpClient& http, const env::Address& to, http::RequestHead head);
  // After the events that came before, unless it has ended already.
  void End(Answer answer);
  // The handle is gone: no further call.
  void Close();

  Function<void()> on_transport_failure;
  Function<void()> on_unauthorized;

 private:
  class Receiver;

  void OnHead(http::ResponseHead head);
  void OnBytes(std::string_view bytes);
  void OnBodyEnd();
  void OnFailure(const Status& why);
  void Schedule();
  void Deliver();

  env::EventLoop& loop_;
  Function<void(WatchEvent)> on_event_;
  Client::Done on_end_;
  std::unique_ptr<net::HttpClient::Exchange> exchange_;
  env::EventLoop::TimerId timer_ = 0;
  int http_status_ = 0;
  std::string retry_after_;
  std::string error_body_;
  WatchDecoder decoder_;
  std::deque<WatchEvent> events_;
  std::optional<Answer> ended_;
  bool scheduled_ = false;
  bool closed_ = false;
};

class WatchHandle final : public Client::Watching {
 public:
  explicit WatchHandle(std::shared_ptr<WatchCall> call) : call_(std::move(call)) {}
  ~WatchHandle() override { call_->Close(); }

 private:
  const std::shared_ptr<WatchCall> call_;
};

}  // namespace tepal::kube
