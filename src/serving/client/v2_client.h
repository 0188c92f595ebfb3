// A client of the v2 inference protocol, over HTTP or gRPC: works against any server that speaks
// it, and with Triton's extensions where they are asked for.
//
// Used on the loop of its HttpClient. Sends each request once: retrying is the caller's. Decides
// nothing about tensors: what fits a model is for tensor_input.h and the server.
// Sources: the Open Inference Protocol (KServe v2); Triton's extensions binary_tensor_data,
// classification, statistics, model_configuration, system_shared_memory.

#pragma once

#include <memory>
#include <string>

#include "network/net/http_client.h"
#include "serving/client/infer_call.h"

namespace tepal::client {

class V2Client {
 public:
  template <typename T>
  using Done = Function<void(Result<T>)>;

  // Calls not answered yet are dropped without a word.
  virtual ~V2Client() = default;

  // Each calls `done` once. An error that the server answered has its words, with its status in
  // front.
  virtual void Server(Duration time_max, Done<ServerDeclaration> done) = 0;
  virtual void Metadata(const std::string& model, Duration time_max,
                        Done<ModelDeclaration> done) = 0;
  virtual void Limits(const std::string& model, Duration time_max, Done<ModelLimits> done) = 0;
  virtual void Statistics(const std::string& model, Duration time_max,
                          Done<ModelStatistics> done) = 0;
  virtual void Infer(const InferCall& call, Duration time_max, Done<InferAnswer> done) = 0;
  virtual void Register(const SharedRegion& region, Duration time_max,
                        Function<void(Status)> done) = 0;
  virtual void Unregister(const std::string& region, Duration time_max,
                          Function<void(Status)> done) = 0;
};

// `client` and `loop`, which is its loop, outlive the result.
std::unique_ptr<V2Client> NewHttpV2Client(net::HttpClient& client, env::Address server);

struct GrpcV2Options {
  bool streaming = false;  // Inferences go over one ModelStreamInfer stream, any number at once.
  Duration stream_time_max = 60s;  // Of one of those, instead of the limit given with it.
};
// `client` speaks HTTP/2.
std::unique_ptr<V2Client> NewGrpcV2Client(env::EventLoop& loop, net::HttpClient& client,
                                          env::Address server, GrpcV2Options options);

}  // namespace tepal::client
