// One ModelStreamInfer call: any number of requests and their answers on one stream.
//
// Requests are worked on side by side and answered in the order in which they came, as Triton does
// for models with one answer: clients rely on it. An error is an answer like any other
// (error_message). With the header "triton_grpc_error: true" the first error of a model ends the
// call with its status instead. When the client has sent its last, what was begun is finished; when
// it resets the stream, or its deadline passes, all of it is cancelled. When the server drains,
// what came before is answered and the call ends with UNAVAILABLE: OK would tell the client that it
// had been heard out. Who asks how loaded the server is hears it in the trailers, of the model that
// the call has asked for last.

#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "network/http/grpc.h"
#include "serving/frontend/grpc/grpc_infer_call.h"
#include "serving/frontend/grpc/grpc_load_report.h"
#include "serving/frontend/grpc/grpc_stream_answer.h"

namespace tepal {

class GrpcStreamExchange final : public http::RequestReceiver {
 public:
  // Of requests that are not answered yet, and of answers that the client has not read. Nothing is
  // read from the client while one is reached; a single request may be larger.
  static constexpr size_t kRequestsMax = 256;
  static constexpr size_t kRequestBytesMax = 64u << 20;
  static constexpr size_t kUnsentBytesMax = 4u << 20;

  GrpcStreamExchange(const GrpcInferDoor& door, const http::RequestHead& head,
                     http::ResponseSender& sender);
  ~GrpcStreamExchange() override;

  std::span<std::byte> BodyRoom(size_t expected) override { return stream_.BodyRoom(expected); }
  Buffer OpenMemory() const override { return stream_.OpenMemory(); }
  void OnBody(size_t bytes) override { stream_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { stream_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override { stream_.OnReset(why); }
  void OnSendRoom() override { stream_.OnSendRoom(); }
  void OnDrain(size_t bytes_waiting) override { stream_.OnDrain(bytes_waiting); }

 private:
  void OnMessage(const Buffer& message);
  // No further request comes; with `status` the call ends once all are answered.
  void OnLast(Status status);
  // Sends what can be sent; may end the call.
  void SendReady();
  void Write(BufferList message);
  void PauseOrResume();
  void Cancel();  // Everything under way.
  void End(const Status& status);
  const http::Headers* Trailers();

  const GrpcInferDoor& door_;
  const GrpcInferCall call_;
  const bool ends_on_error_;
  const http::GrpcCompression compression_;
  GrpcLoadReport load_;
  const bool tells_model_load_;
  std::string model_;     // The last that was asked for,
  int64_t version_ = -1;  // and its version; only where its load is to be told.
  http::ResponseSender& sender_;
  std::deque<std::shared_ptr<GrpcStreamAnswer>> answers_;  // In order of the requests.
  size_t request_bytes_ = 0;
  env::EventLoop::TimerId deadline_timer_ = 0;
  bool started_ = false;          // The head of the answer is sent.
  std::optional<Status> ending_;  // What to end with after the answers.
  bool paused_ = false;
  bool over_ = false;
  std::optional<http::Headers> trailers_;
  http::GrpcStreamRequest stream_;
};

}  // namespace tepal
