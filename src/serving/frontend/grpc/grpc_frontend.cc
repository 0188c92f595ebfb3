#include "serving/frontend/grpc/grpc_frontend.h"

#include <utility>

#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/http/grpc.h"
#include "network/http/status_map.h"
#include "serving/frontend/grpc/grpc_calls.h"
#include "serving/frontend/grpc/grpc_infer_exchange.h"
#include "serving/frontend/grpc/grpc_model_control.h"

namespace tepal {
namespace {

constexpr std::string_view kService = "/inference.GRPCInferenceService/";
constexpr std::string_view kNotBuilt[] = {
    "ModelStreamInfer",
    "SystemSharedMemoryStatus",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister",
    "CudaSharedMemoryStatus",
    "CudaSharedMemoryRegister",
    "CudaSharedMemoryUnregister",
    "TraceSetting",
    "LogSettings",
};

// What gRPC servers say to a method they do not have is nothing; to one we know, that it is to
// come.
std::string UnimplementedText(std::string_view path) {
  if (!path.starts_with(kService)) return {};
  for (const std::string_view method : kNotBuilt) {
    if (path.substr(kService.size()) == method) return Concat(method, " is not supported yet");
  }
  return {};
}

class GrpcFrontend final : public http::RequestHandler {
 public:
  GrpcFrontend(ServerCore& core, env::EventLoop& loop, env::Executor& blocking,
               const GrpcFrontendOptions& options)
      : options_(options),
        context_{core, options_},
        infer_door_{core, loop, options_.message_bytes_max,
                    std::make_shared<CompletionQueue>(loop)},
        control_door_{core, loop, blocking, options_.message_bytes_max} {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    if (!http::IsGrpcRequest(head)) return RefuseOther(head, sender);
    const std::string_view path = head.path();
    if (path == "/inference.GRPCInferenceService/ModelInfer") {
      return std::make_unique<GrpcInferExchange>(infer_door_, head, sender);
    }
    if (const GrpcCall call = FindGrpcCall(path); call != nullptr) {
      return std::make_unique<http::GrpcUnaryRequest>(
          head, sender, options_.message_bytes_max, [this, call, &sender](Buffer message) {
            Result<Buffer> answer = call(context_, message.text());
            if (!answer.ok()) {
              http::GrpcRespondError(sender, answer.status());
              return;
            }
            BufferList bytes;
            if (!answer->empty()) bytes.push_back(std::move(answer).value());
            http::GrpcRespond(sender, std::move(bytes));
          });
    }
    if (path == "/inference.GRPCInferenceService/RepositoryModelLoad") {
      return GrpcControlModel(control_door_, true, head, sender);
    }
    if (path == "/inference.GRPCInferenceService/RepositoryModelUnload") {
      return GrpcControlModel(control_door_, false, head, sender);
    }
    http::GrpcRespondError(sender, Unimplemented(UnimplementedText(path)));
    return std::make_unique<http::DiscardingRequest>();
  }

 private:
  // gRPC over HTTP2: 415 for another content type.
  static std::unique_ptr<http::RequestReceiver> RefuseOther(const http::RequestHead& head,
                                                            http::ResponseSender& sender) {
    constexpr int kUnsupportedMediaType = 415;
    constexpr uint64_t kBodyBytesMax = 1 << 20;  // Of a body nobody wants.
    return std::make_unique<http::CollectingRequest>(
        head, kBodyBytesMax, sender, [&sender](Buffer) {
          http::RespondError(sender, kUnsupportedMediaType, "this port speaks gRPC only");
        });
  }

  const GrpcFrontendOptions options_;
  const GrpcCallContext context_;
  const GrpcInferExchange::Door infer_door_;
  const GrpcControlDoor control_door_;
};

}  // namespace

std::unique_ptr<http::RequestHandler> NewGrpcFrontend(ServerCore& core, env::EventLoop& loop,
                                                      env::Executor& blocking,
                                                      const GrpcFrontendOptions& options) {
  return std::make_unique<GrpcFrontend>(core, loop, blocking, options);
}

}  // namespace tepal
