// One ModelStreamInfer stream with any number of requests in flight.
//
// Each request gets an id of ours, by which its answer is found again: answers may come in any
// order. One answer a request: a decoupled model's further answers are not for this class. The
// stream is opened with the first request, and again with the next one after it broke. A request
// that is not answered in time breaks the stream off, and every other on it fails.
// Owned by the loop of its HttpClient.

#pragma once

#include <deque>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "network/http/grpc_client.h"
#include "network/net/http_client.h"

namespace tepal::client {

class InferStream {
 public:
  // The bytes of a ModelInferResponse.
  using Done = Function<void(Result<Buffer>)>;

  // `client` speaks HTTP/2; it and `loop`, which is its loop, outlive this.
  InferStream(env::EventLoop& loop, net::HttpClient& client, env::Address server,
              Duration time_max);
  ~InferStream();  // Requests in flight are dropped without a word.

  // `message` is a ModelInferRequest without an id. `done` runs once, perhaps inside Send when
  // there is no connection to be had; an error has its code in front where there is one.
  void Send(const BufferList& message, Done done);

 private:
  struct Slot {
    Done done;
    uint64_t request = 0;  // 0: free.
  };

  void Open();
  void OnMessage(const Buffer& message);
  void OnEnd(const Status& why);
  void Break(const Status& why);
  void WatchTime();
  void OnTimer();
  void End(size_t slot, Result<Buffer> answer);

  env::EventLoop& loop_;
  net::HttpClient& client_;
  const env::Address server_;
  const Duration time_max_;
  const http::RequestHead head_;
  std::unique_ptr<net::HttpClient::Exchange> exchange_;
  uint64_t generation_ = 0;  // Of the stream: what an older one still says is not heard.
  std::vector<Slot> slots_;
  std::vector<size_t> free_;
  struct Sent {
    Instant at;
    size_t slot;
    uint64_t request;
  };
  std::deque<Sent> sent_;  // Oldest first; some are answered.
  uint64_t requests_ = 0;
  env::EventLoop::TimerId timer_ = 0;
};

}  // namespace tepal::client
