// Server reflection (grpc.reflection.v1 and v1alpha): the services of this port and their messages,
// for clients such as grpcurl that have no .proto files.
//
// Extensions of messages are not used here: whoever asks for them gets an error.

#pragma once

#include <memory>
#include <string_view>

#include "core/base/result.h"
#include "core/buffer/buffer.h"
#include "network/http/stream.h"

namespace tepal {

// The services of this port, by full name.
inline constexpr std::string_view kGrpcServices[] = {
    "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection", "inference.GRPCInferenceService"};
bool IsGrpcService(std::string_view name);

// Answers questions; owned by one loop and outlives its calls.
class GrpcReflection {
 public:
  static constexpr size_t kQuestionBytesMax = 64u << 10;
  static constexpr size_t kUnsentBytesMax = 1u << 20;  // Above, no further question is read.

  GrpcReflection();
  ~GrpcReflection();

  // ServerReflectionInfo.
  std::unique_ptr<http::RequestReceiver> Serve(const http::RequestHead& head,
                                               http::ResponseSender& sender);

  // A ServerReflectionRequest, and the ServerReflectionResponse to it. kInternal for what is none.
  Result<Buffer> Answer(std::string_view question);

 private:
  class Descriptors;
  std::unique_ptr<Descriptors> descriptors_;  // Made when first asked for.
};

}  // namespace tepal
