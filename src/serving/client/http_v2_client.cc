#include <utility>

#include "serving/client/http_codec.h"
#include "serving/client/v2_client.h"

namespace tepal::client {
namespace {

using Response = net::HttpClient::Response;

class HttpV2Client final : public V2Client {
 public:
  HttpV2Client(net::HttpClient& client, env::Address server)
      : client_(client), server_(std::move(server)) {}

  void Server(Duration time_max, Done<ServerDeclaration> done) override {
    Get("/v2", time_max, DecodeServer, std::move(done));
  }
  void Metadata(const std::string& model, Duration time_max, Done<ModelDeclaration> done) override {
    Get("/v2/models/" + model, time_max, DecodeMetadata, std::move(done));
  }
  void Limits(const std::string& model, Duration time_max, Done<ModelLimits> done) override {
    Get("/v2/models/" + model + "/config", time_max, DecodeLimits, std::move(done));
  }
  void Statistics(const std::string& model, Duration time_max,
                  Done<ModelStatistics> done) override {
    Get("/v2/models/" + model + "/stats", time_max, DecodeStatistics, std::move(done));
  }
  void Infer(const InferCall& call, Duration time_max, Done<InferAnswer> done) override {
    Result<EncodedRequest> request = EncodeInfer(call, TensorForm::kBinary);
    TEPAL_CHECK(request.ok());  // Any tensor can be sent as its bytes.
    Send(std::move(request).value(), time_max, DecodeInfer, std::move(done));
  }
  void Register(const SharedRegion& region, Duration time_max,
                Function<void(Status)> done) override {
    Do(EncodeRegister(region), time_max, std::move(done));
  }
  void Unregister(const std::string& region, Duration time_max,
                  Function<void(Status)> done) override {
    Do(EncodeUnregister(region), time_max, std::move(done));
  }

 private:
  template <typename T>
  void Get(std::string target, Duration time_max, Result<T> (*decode)(const Response&),
           Done<T> done) {
    Send({MakeGet(std::move(target)), {}}, time_max, decode, std::move(done));
  }
  template <typename T>
  void Send(EncodedRequest request, Duration time_max, Result<T> (*decode)(const Response&),
            Done<T> done) {
    client_.Fetch(server_, std::move(request.head), std::move(request.body), time_max,
                  [decode, done = std::move(done)](Result<Response> response) mutable {
                    done(response.ok() ? decode(*response) : Result<T>(response.status()));
                  });
  }
  void Do(EncodedRequest request, Duration time_max, Function<void(Status)> done) {
    client_.Fetch(server_, std::move(request.head), std::move(request.body), time_max,
                  [done = std::move(done)](Result<Response> response) mutable {
                    done(response.ok() ? CheckAnswer(*response) : response.status());
                  });
  }

  net::HttpClient& client_;
  const env::Address server_;
};

}  // namespace

std::unique_ptr<V2Client> NewHttpV2Client(net::HttpClient& client, env::Address server) {
  return std::make_unique<HttpV2Client>(client, std::move(server));
}

}  // namespace tepal::client
