#include <utility>

#include "serving/client/grpc_caller.h"
#include "serving/client/grpc_codec.h"
#include "serving/client/infer_stream.h"
#include "serving/client/v2_client.h"

namespace tepal::client {
namespace {

class GrpcV2Client final : public V2Client {
 public:
  GrpcV2Client(env::EventLoop& loop, net::HttpClient& client, env::Address server,
               GrpcV2Options options)
      : caller_(loop, client, server) {
    if (options.streaming) stream_.emplace(loop, client, server, options.stream_time_max);
  }

  void Server(Duration time_max, Done<ServerDeclaration> done) override {
    Call("ServerMetadata", {}, time_max, DecodeGrpcServer, std::move(done));
  }
  void Metadata(const std::string& model, Duration time_max, Done<ModelDeclaration> done) override {
    Call("ModelMetadata", EncodeGrpcTexts(model), time_max, DecodeGrpcMetadata, std::move(done));
  }
  void Limits(const std::string& model, Duration time_max, Done<ModelLimits> done) override {
    Call("ModelConfig", EncodeGrpcTexts(model), time_max, DecodeGrpcLimits, std::move(done));
  }
  void Statistics(const std::string& model, Duration time_max,
                  Done<ModelStatistics> done) override {
    Call("ModelStatistics", EncodeGrpcTexts(model), time_max, DecodeGrpcStatistics,
         std::move(done));
  }
  void Infer(const InferCall& call, Duration time_max, Done<InferAnswer> done) override {
    if (!stream_) {
      return Call("ModelInfer", EncodeGrpcInfer(call), time_max, DecodeGrpcInfer, std::move(done));
    }
    stream_->Send(EncodeGrpcInfer(call), [done = std::move(done)](Result<Buffer> answer) mutable {
      done(answer.ok() ? DecodeGrpcInfer(*answer) : Result<InferAnswer>(answer.status()));
    });
  }
  void Register(const SharedRegion& region, Duration time_max,
                Function<void(Status)> done) override {
    Do("SystemSharedMemoryRegister", EncodeGrpcRegister(region), time_max, std::move(done));
  }
  void Unregister(const std::string& region, Duration time_max,
                  Function<void(Status)> done) override {
    Do("SystemSharedMemoryUnregister", EncodeGrpcTexts(region), time_max, std::move(done));
  }

 private:
  template <typename T>
  void Call(std::string_view method, BufferList message, Duration time_max,
            Result<T> (*decode)(const Buffer&), Done<T> done) {
    caller_.Call(http::MakeGrpcRequest("", GrpcMethod(method), time_max),
                 http::GrpcFrame(std::move(message)), time_max,
                 [decode, done = std::move(done)](Result<Buffer> answer) mutable {
                   done(answer.ok() ? decode(*answer) : Result<T>(answer.status()));
                 });
  }
  void Do(std::string_view method, BufferList message, Duration time_max,
          Function<void(Status)> done) {
    caller_.Call(
        http::MakeGrpcRequest("", GrpcMethod(method), time_max),
        http::GrpcFrame(std::move(message)), time_max,
        [done = std::move(done)](Result<Buffer> answer) mutable { done(answer.status()); });
  }

  GrpcCaller caller_;
  std::optional<InferStream> stream_;
};

}  // namespace

std::unique_ptr<V2Client> NewGrpcV2Client(env::EventLoop& loop, net::HttpClient& client,
                                          env::Address server, GrpcV2Options options) {
  return std::make_unique<GrpcV2Client>(loop, client, std::move(server), options);
}

}  // namespace tepal::client
