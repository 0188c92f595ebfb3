// The whole gRPC door over fakes: the first byte chooses the method, the rest is messages with
// their lengths in front. Whatever they are, the call ends with one status. Reflection's answers
// read back as protobuf.

#include <cstdlib>

#include "core/telemetry/log.h"
#include "network/http/grpc.h"
#include "serving/frontend/fuzz_support.h"
#include "serving/frontend/grpc/grpc_frontend.h"
#include "serving/frontend/grpc/grpc_reflection.h"
#include "serving/kserve/proto_reader.h"

namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

constexpr const char* kMethods[] = {
    "/inference.GRPCInferenceService/ModelInfer",
    "/inference.GRPCInferenceService/ModelStreamInfer",
    "/inference.GRPCInferenceService/TraceSetting",
    "/inference.GRPCInferenceService/LogSettings",
    "/inference.GRPCInferenceService/RepositoryIndex",
    "/inference.GRPCInferenceService/RepositoryModelLoad",
    "/inference.GRPCInferenceService/RepositoryModelUnload",
    "/inference.GRPCInferenceService/SystemSharedMemoryRegister",
    "/inference.GRPCInferenceService/SystemSharedMemoryUnregister",
    "/inference.GRPCInferenceService/CudaSharedMemoryRegister",
    "/inference.GRPCInferenceService/ModelStatistics",
    "/inference.GRPCInferenceService/ModelConfig",
    "/inference.GRPCInferenceService/ModelReady",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
};

void Reflect(std::string_view question) {
  using namespace tepal;  // NOLINT: one function.
  static GrpcReflection reflection;
  const Result<Buffer> answer = reflection.Answer(question);
  if (!answer.ok()) return;
  kserve::ProtoReader reader(answer->text());
  while (reader.Next()) reader.Skip();
  Check(reader.ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tepal;  // NOLINT: one function.
  if (size < 2) return 0;
  static const bool quiet = telemetry::SetLogSettings({.info = false, .warning = false}).ok();
  Check(quiet);
  const std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
  Reflect(body);
  CheckingCore core;
  FakeLoop loop;
  FakeExecutor blocking;
  OneSharedObject objects;
  SharedMemoryRegions regions(objects, nullptr);
  GrpcFrontendOptions options;
  options.message_bytes_max = 100'000;
  options.shared_memory = &regions;
  const auto handler = NewGrpcFrontend(core, loop, blocking, options);
  FakeSender sender;
  http::RequestHead head;
  head.method = "POST";
  head.version = http::Version::kHttp2;
  head.target = kMethods[data[0] % std::size(kMethods)];
  head.headers.Add("content-type", "application/grpc");
  if (data[1] % 8 == 7) head.headers.Add("triton_grpc_error", "true");
  head.has_body = true;
  const auto receiver = handler->OnRequest(std::move(head), sender);
  // Of its own framing only where the first bit says so: else most bytes would be no message.
  bool taken = true;
  if (data[1] % 2 == 0) {
    const Buffer framed = Flatten(http::GrpcFrame({Buffer::Copy(body)}));
    taken = SendBody(*receiver, sender, framed.text(), 1 + data[1]);
  } else {
    taken = SendBody(*receiver, sender, body, 1 + data[1]);
  }
  if (!taken) return 0;
  if (!sender.done()) receiver->OnRequestEnd({});
  loop.RunAll();
  Check(sender.done() && sender.status == 200);
  Check(sender.headers.contains("grpc-status"));
  return 0;
}
