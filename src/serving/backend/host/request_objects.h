// What stands behind TRITONBACKEND_Request, _Response, _ResponseFactory, _Input and _Output, and
// how each request gets exactly one final answer.
//
// A request object is counted: by the backend until it releases the request, by each response and
// factory made of it, and by the host while Execute runs. Its final answer is held back until three
// things have happened, in any order and on any threads:
//   kFinal     the backend has sent the final response,
//   kReleased  the backend has released the request: its statistics are in, its inputs are free,
//   kReturned  Execute has returned (inline backends only: set from the start for the others).
// Whoever sets the last of the three bits delivers. So a client that hears the answer finds it
// counted, and no sink runs inside a plugin that runs on an event loop. When the count falls to
// zero and nothing was sent, the host answers with an error. Objects are pooled by model instance.

#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/base/guarded.h"
#include "serving/backend/host/backend_objects.h"
#include "serving/inference/request.h"

namespace tepal::backend_host {

class RequestPool;

}  // namespace tepal::backend_host

struct TRITONBACKEND_Input {
  const tepal::InputTensor* tensor = nullptr;
  const tepal::Shape* shape = nullptr;  // The tensor's, or `reshaped`.
  uint64_t byte_size = 0;
  tepal::Shape reshaped;
  std::vector<TRITONSERVER_BufferAttributes> attributes;  // Filled when asked for.
};

struct TRITONBACKEND_Output {
  TRITONBACKEND_Response* response = nullptr;
  size_t index = 0;
  bool allocated = false;
  TRITONSERVER_BufferAttributes attributes;
  // Where on a GPU the client wants it, when the backend writes on the CPU: copied as it is sent.
  tepal::Buffer on_gpu;
};

struct TRITONBACKEND_Response {
  TRITONBACKEND_Request* request = nullptr;
  std::unique_ptr<tepal::InferenceResponse> response;
  std::deque<TRITONBACKEND_Output> outputs;  // Addresses stay while it grows.
};

struct TRITONBACKEND_ResponseFactory {
  TRITONBACKEND_Request* request = nullptr;
};

struct TRITONBACKEND_ModelInstanceResponseStatistics {
  TRITONBACKEND_ModelInstance* instance = nullptr;
  TRITONBACKEND_ResponseFactory* factory = nullptr;
  uint64_t response_start_ns = 0;
  uint64_t compute_output_start_ns = 0;
  uint64_t response_end_ns = 0;
  TRITONSERVER_Error* error = nullptr;
};

struct TRITONBACKEND_Request {
  enum : uint32_t { kFinal = 1, kReleased = 2, kReturned = 4, kDone = 7 };

  void Ref() { references.fetch_add(1, std::memory_order_relaxed); }
  void Unref();

  // Sets bits of `state` and delivers if they were the last ones. Returns the bits before.
  uint32_t Advance(uint32_t bits);

  // Counts the request as ended if the backend has not.
  void RecordOutcome();

  // Replaces whatever would be sent by an error, unless a final answer is held already.
  void HoldError(tepal::Status status);

  std::unique_ptr<tepal::InferenceResponse> NewResponse() const;

  std::atomic<uint32_t> state{0};
  std::atomic<int32_t> references{0};
  std::unique_ptr<tepal::InferenceRequest> request;  // Empty once released.
  TRITONBACKEND_ModelInstance* instance = nullptr;
  std::shared_ptr<tepal::backend_host::RequestPool> pool;

  // Taken from the request, because they are needed after its release.
  tepal::RequestLease lease;
  std::shared_ptr<tepal::ResponseSink> sink;
  std::shared_ptr<tepal::CancellationToken> cancellation;
  std::string id;
  tepal::RequestTimes times;

  std::vector<TRITONBACKEND_Input> inputs;  // The first `input_count` are in use.
  size_t input_count = 0;

  std::unique_ptr<tepal::InferenceResponse> held;  // The final answer; null: close without one.
  std::atomic<bool> answered{false};               // Some response was sent.
  bool reported = false;                           // Statistics are in.

  TRITONBACKEND_Response first_response;  // Most requests have one response.
  std::atomic<bool> first_response_taken{false};

 private:
  void Deliver();
};

namespace tepal::backend_host {

// Keeps request objects of one model instance for reuse. Thread-safe; outlives its instance while
// requests of it are about.
class RequestPool : public std::enable_shared_from_this<RequestPool> {
 public:
  // Counted twice: for the backend and for the host.
  TRITONBACKEND_Request* Take(TRITONBACKEND_ModelInstance* instance,
                              std::unique_ptr<InferenceRequest> request, uint32_t state);
  void Give(TRITONBACKEND_Request* request);

 private:
  static constexpr size_t kSpareMax = 256;  // More than that are freed.
  Guarded<std::vector<std::unique_ptr<TRITONBACKEND_Request>>> spare_;
};

}  // namespace tepal::backend_host
