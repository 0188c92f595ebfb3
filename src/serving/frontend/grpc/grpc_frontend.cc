#include "serving/frontend/grpc/grpc_frontend.h"

#include <utility>

#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/http/grpc.h"
#include "network/http/status_map.h"
#include "serving/frontend/grpc/grpc_api_groups.h"
#include "serving/frontend/grpc/grpc_calls.h"
#include "serving/frontend/grpc/grpc_health_watch.h"
#include "serving/frontend/grpc/grpc_infer_exchange.h"
#include "serving/frontend/grpc/grpc_model_control.h"
#include "serving/frontend/grpc/grpc_reflection.h"
#include "serving/frontend/grpc/grpc_stream_exchange.h"

namespace tepal {
namespace {

class GrpcFrontend final : public http::RequestHandler {
 public:
  GrpcFrontend(ServerCore& core, env::EventLoop& loop, env::Executor& blocking,
               const GrpcFrontendOptions& options)
      : options_(options),
        context_{core, options_},
        model_loads_(core),
        infer_door_{core, loop, options_, std::make_shared<CompletionQueue>(loop), model_loads_},
        control_door_{core, loop, blocking, options_.message_bytes_max},
        watches_(core, loop, options_) {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    if (!http::IsGrpcRequest(head)) return RefuseOther(head, sender);
    const std::string_view path = head.path();
    if (const auto* secret = MissingSecret(path, head); secret != nullptr) {
      http::GrpcRespondError(sender,
                             Unavailable(Concat("This protocol is restricted, expecting header '",
                                                kRestrictedHeaderPrefix, secret->header, "'")));
      return std::make_unique<http::DiscardingRequest>();
    }
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
    if (path == "/inference.GRPCInferenceService/ModelStreamInfer") {
      return std::make_unique<GrpcStreamExchange>(infer_door_, head, sender);
    }
    if (path == "/grpc.health.v1.Health/Watch") return watches_.Watch(head, sender);
    if (path == "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" ||
        path == "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo") {
      return reflection_.Serve(head, sender);
    }
    http::GrpcRespondError(sender, Unimplemented(""));
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

  // The secret that the call has to bring and does not.
  const RestrictedApis::Secret* MissingSecret(std::string_view path,
                                              const http::RequestHead& head) const {
    const std::optional<ApiGroup> group = GrpcApiGroup(path);
    const auto* secret = group.has_value() ? options_.restricted.Find(*group) : nullptr;
    if (secret == nullptr) return nullptr;
    const auto given = head.headers.Get(Concat(kRestrictedHeaderPrefix, secret->field));
    return RestrictedApis::Opens(*secret, given) ? nullptr : secret;
  }

  const GrpcFrontendOptions options_;
  const GrpcCallContext context_;
  ModelLoadReporter model_loads_;
  const GrpcInferDoor infer_door_;
  const GrpcControlDoor control_door_;
  GrpcHealthWatches watches_;
  GrpcReflection reflection_;
};

}  // namespace

std::unique_ptr<http::RequestHandler> NewGrpcFrontend(ServerCore& core, env::EventLoop& loop,
                                                      env::Executor& blocking,
                                                      const GrpcFrontendOptions& options) {
  return std::make_unique<GrpcFrontend>(core, loop, blocking, options);
}

}  // namespace tepal
