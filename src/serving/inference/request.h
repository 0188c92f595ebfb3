// One inference request on its way through the server, and what answers it.
//
// Doors (kserve) build a request, server_core routes it to a model version, a scheduler queues and
// batches it, a backend executes it and sends responses. The request is owned by whoever works on
// it (unique_ptr passed along); when it is destroyed its memory goes back. It knows no transport:
// the ResponseSink does.

#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/buffer/buffer.h"
#include "serving/tensor/data_type.h"
#include "serving/tensor/shape.h"

namespace tepal {

struct InputTensor {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;      // As the client gave it: with the batch dimension where the model batches.
  BufferList data;  // BYTES: each element a 4-byte little-endian length and its bytes.
};

// A free parameter of a request or a response.
struct Parameter {
  std::string name;
  std::variant<bool, int64_t, double, std::string> value;
};

struct OutputTensor {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape shape;
  Buffer data;
};

// Instants of a request's life, for statistics, traces and the timing header. 0 means not reached.
struct RequestTimes {
  Instant received{};       // First byte of the request, or when the door began with it.
  Instant queued{};         // Given to the scheduler.
  Instant compute_start{};  // Taken from the queue by an instance.
  Instant compute_input_end{};
  Instant compute_output_start{};
  Instant compute_end{};
};

struct InferenceResponse {
  Status status;  // When not ok, `outputs` is empty.
  std::string model_name;
  int64_t model_version = 0;
  std::string id;
  std::vector<OutputTensor> outputs;
  std::vector<Parameter> parameters;
  RequestTimes times;  // Of the request, in its last response; what its backend did not tell is 0.
};

class InferenceRequest;

// Where answers go. Called from any thread; calls for one request do not overlap. The last call has
// `final` set; for a model with one answer there is one call. `response` is null when a decoupled
// model closes without another answer.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual void OnResponse(std::unique_ptr<InferenceResponse> response, bool final) = 0;

  // Memory for an output that the client brought itself (shared memory); empty: the server
  // allocates a slab. `size` is what the backend asked for.
  virtual Buffer OutputMemory(std::string_view /*output*/, size_t /*size*/) { return {}; }
};

// Set once by the door when the client has gone or its deadline has passed; read by queues and
// backends. Shared because both sides may outlive the other. Thread-safe.
class CancellationToken {
 public:
  // Marks, then runs the listener on this thread: a request that still waits in a queue leaves it
  // and is answered with kCancelled before this returns. Only the first call does anything.
  void Cancel();
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  // For queues: `listener` runs once upon Cancel, or now when it has come already. It replaces the
  // one before it; one that has become pointless may stay, so it holds nothing alive.
  void SetListener(Function<void()> listener);

 private:
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  Function<void()> listener_;
};

// Whoever must outlive the requests it accepted (a model version) and counts them.
class RequestHost {
 public:
  virtual ~RequestHost() = default;
  virtual void OnRequestEnd() = 0;  // Any thread.
};

// Keeps the host of a request, and tells it when the request is destroyed.
class RequestLease {
 public:
  RequestLease() = default;
  explicit RequestLease(std::shared_ptr<RequestHost> host) : host_(std::move(host)) {}
  RequestLease(RequestLease&&) = default;
  RequestLease& operator=(RequestLease&& other) noexcept {
    std::swap(host_, other.host_);
    return *this;
  }
  ~RequestLease() {
    if (host_ != nullptr) host_->OnRequestEnd();
  }

 private:
  std::shared_ptr<RequestHost> host_;
};

class InferenceRequest {
 public:
  RequestLease lease;  // First, so that it ends after everything below it.

  std::string model_name;
  int64_t requested_version = -1;  // -1: the newest that serves.
  std::string id;

  std::vector<InputTensor> inputs;
  std::vector<std::string> requested_outputs;  // Empty: all of them.
  std::vector<Parameter> parameters;           // Free ones; the reserved ones are fields here.

  uint64_t correlation_id = 0;
  std::string correlation_text;  // Set when the client's sequence_id is a string.
  bool sequence_start = false;
  bool sequence_end = false;
  uint64_t priority = 0;              // 0: the model's default.
  uint64_t timeout_us = 0;            // Of waiting in a queue; 0: none.
  Instant deadline = Instant::max();  // Of the whole request, from the transport.

  // Rows of this request in a batch; 1 for a model without batching. Set by Prepare in server_core.
  int64_t batch_rows = 1;

  std::shared_ptr<CancellationToken> cancellation;  // May be null: cannot be cancelled.
  std::shared_ptr<ResponseSink> sink;
  RequestTimes times;

  bool cancelled() const { return cancellation != nullptr && cancellation->cancelled(); }

  const InputTensor* FindInput(std::string_view name) const;

  // Answers with an error and ends the request: for schedulers and doors.
  static void Fail(std::unique_ptr<InferenceRequest> request, Status status);
};

// "[request id: 42] " or "[request id: <id_unknown>] ": what error texts begin with.
std::string RequestIdPrefix(const InferenceRequest& request);

}  // namespace tepal
