// One POST …/infer: receives the body where its tensors can stay, and hands the request over.
//
// With a known length and a JSON header of known length, the body is placed so that the binary data
// begins on a 64-byte boundary: the first tensor, and with it most requests, is aligned without a
// copy.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "network/http/body_collector.h"
#include "network/http/stream.h"
#include "serving/frontend/http/http_frontend.h"
#include "serving/frontend/http/infer_answer.h"

namespace tepal {

class InferExchange final : public http::RequestReceiver {
 public:
  // What every exchange of one loop shares; outlives them.
  struct Door {
    ServerCore& core;
    env::EventLoop& loop;
    const HttpFrontendOptions& options;
    std::shared_ptr<CompletionQueue> completions;
    ModelLoadReporter& model_loads;
  };

  InferExchange(const Door& door, std::string model, int64_t version, const http::RequestHead& head,
                http::ResponseSender& sender);
  ~InferExchange() override;

  std::span<std::byte> BodyRoom(size_t expected) override;
  Buffer OpenMemory() const override;
  void OnBody(size_t bytes) override;
  void OnRequestEnd(const http::Headers& trailers) override;
  void OnReset(const Status& why) override;

 private:
  Buffer TakeBody();
  Status Begin(std::unique_ptr<InferenceRequest>& request);
  void RefuseTooLarge();

  const Door& door_;
  const std::string model_;
  const int64_t version_;
  const Instant received_;
  std::optional<std::string> json_size_text_;
  std::optional<http::Encoding> content_encoding_;
  http::ResponseSender& sender_;
  std::shared_ptr<InferAnswer> answer_;
  std::optional<LoadReportFormat> load_report_;
  std::vector<Parameter> forwarded_;  // From the head.
  bool refused_ = false;

  // A body of known length lies at `lead_` in placed_; another is collected.
  std::optional<size_t> placed_size_;
  size_t lead_ = 0;
  Buffer placed_;
  size_t placed_filled_ = 0;
  http::BodyCollector collector_;
};

}  // namespace tepal
