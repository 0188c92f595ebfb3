// Where a load generator's requests go: one protocol's way of sending what was encoded once.
//
// Measures nothing, counts nothing and retries nothing. Used on one loop.

#pragma once

#include <memory>
#include <vector>

#include "network/net/http_client.h"
#include "serving/client/http_codec.h"

namespace tepal::client {

class LoadTarget {
 public:
  using Done = Function<void(Result<Buffer>)>;

  // Requests not answered yet are dropped without a word.
  virtual ~LoadTarget() = default;

  // How many different requests there are.
  virtual size_t requests() const = 0;

  // Sends the one of that index. `done` runs once, perhaps inside Send, with the answer's body or
  // message. An error's message is what a report counts it under, so it says the status first and
  // holds nothing that differs from request to request.
  virtual void Send(size_t request, Done done) = 0;
};

// Whatever is not a 200 is an error. `client` and its loop outlive the result.
std::unique_ptr<LoadTarget> NewHttpTarget(net::HttpClient& client, env::Address server,
                                          std::vector<EncodedRequest> requests, Duration time_max);

struct GrpcTargetOptions {
  // One HTTP/2 client for each connection; requests take them in turn. They outlive the target.
  std::vector<net::HttpClient*> connections;
  // ModelStreamInfer streams on each connection; 0: each request is a ModelInfer call.
  int streams = 0;
  Duration time_max = 60s;
};
// `messages` are ModelInferRequests without a frame.
std::unique_ptr<LoadTarget> NewGrpcTarget(env::EventLoop& loop, env::Address server,
                                          std::vector<BufferList> messages,
                                          GrpcTargetOptions options);

// Passes on to `inner` and turns an answer that differs from the first one to the same request into
// an error. `compare` says what differs.
using CompareAnswers = Function<Status(const Buffer& first, const Buffer& answer)>;
std::unique_ptr<LoadTarget> NewVerifyingTarget(std::unique_ptr<LoadTarget> inner,
                                               CompareAnswers compare);
Status CompareBytes(const Buffer& first, const Buffer& answer);
// Of two ModelInferResponses: the outputs; ids may differ.
Status CompareGrpcOutputs(const Buffer& first, const Buffer& answer);

}  // namespace tepal::client
