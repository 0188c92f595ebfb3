#include "serving/client/load_target.h"

#include <algorithm>
#include <utility>

#include "core/base/text.h"
#include "serving/client/grpc_caller.h"
#include "serving/client/grpc_codec.h"
#include "serving/client/infer_stream.h"

namespace tepal::client {
namespace {

constexpr size_t kReasonTextMax = 160;

class HttpTarget final : public LoadTarget {
 public:
  HttpTarget(net::HttpClient& client, env::Address server, std::vector<EncodedRequest> requests,
             Duration time_max)
      : client_(client),
        server_(std::move(server)),
        requests_(std::move(requests)),
        time_max_(time_max) {}

  size_t requests() const override { return requests_.size(); }

  void Send(size_t request, Done done) override {
    const EncodedRequest& encoded = requests_[request];
    client_.Fetch(server_, encoded.head, encoded.body, time_max_,
                  [done = std::move(done)](Result<net::HttpClient::Response> response) mutable {
                    if (!response.ok()) return done(response.status());
                    if (response->head.status == 200) return done(std::move(response->body));
                    done(Internal(Concat("HTTP ", response->head.status, ": ",
                                         response->body.text().substr(0, kReasonTextMax))));
                  });
  }

 private:
  net::HttpClient& client_;
  const env::Address server_;
  const std::vector<EncodedRequest> requests_;
  const Duration time_max_;
};

class GrpcUnaryTarget final : public LoadTarget {
 public:
  GrpcUnaryTarget(env::EventLoop& loop, const env::Address& server,
                  std::vector<BufferList> messages, const GrpcTargetOptions& options)
      : head_(http::MakeGrpcRequest("", GrpcMethod("ModelInfer"))), time_max_(options.time_max) {
    for (BufferList& message : messages) {
      framed_.push_back({Flatten(http::GrpcFrame(std::move(message)))});
    }
    for (net::HttpClient* client : options.connections) {
      callers_.push_back(std::make_unique<GrpcCaller>(loop, *client, server));
    }
  }

  size_t requests() const override { return framed_.size(); }
  void Send(size_t request, Done done) override {
    callers_[turn_++ % callers_.size()]->Call(head_, framed_[request], time_max_, std::move(done));
  }

 private:
  const http::RequestHead head_;
  const Duration time_max_;
  std::vector<BufferList> framed_;
  std::vector<std::unique_ptr<GrpcCaller>> callers_;
  size_t turn_ = 0;
};

class GrpcStreamTarget final : public LoadTarget {
 public:
  GrpcStreamTarget(env::EventLoop& loop, const env::Address& server,
                   std::vector<BufferList> messages, const GrpcTargetOptions& options)
      : messages_(std::move(messages)) {
    for (int i = 0; i < options.streams; ++i) {
      for (net::HttpClient* client : options.connections) {
        streams_.push_back(std::make_unique<InferStream>(loop, *client, server, options.time_max));
      }
    }
  }

  size_t requests() const override { return messages_.size(); }
  void Send(size_t request, Done done) override {
    streams_[turn_++ % streams_.size()]->Send(messages_[request], std::move(done));
  }

 private:
  const std::vector<BufferList> messages_;
  std::vector<std::unique_ptr<InferStream>> streams_;
  size_t turn_ = 0;
};

class VerifyingTarget final : public LoadTarget {
 public:
  VerifyingTarget(std::unique_ptr<LoadTarget> inner, CompareAnswers compare)
      : inner_(std::move(inner)), compare_(std::move(compare)), first_(inner_->requests()) {}

  size_t requests() const override { return inner_->requests(); }
  void Send(size_t request, Done done) override {
    inner_->Send(request, [this, request, done = std::move(done)](Result<Buffer> answer) mutable {
      if (!answer.ok()) return done(std::move(answer));
      std::optional<Buffer>& first = first_[request];
      if (!first) first = *answer;
      const Status same = compare_(*first, *answer);
      done(same.ok() ? std::move(answer) : Result<Buffer>(same));
    });
  }

 private:
  const std::unique_ptr<LoadTarget> inner_;
  CompareAnswers compare_;
  std::vector<std::optional<Buffer>> first_;
};

}  // namespace

std::unique_ptr<LoadTarget> NewHttpTarget(net::HttpClient& client, env::Address server,
                                          std::vector<EncodedRequest> requests, Duration time_max) {
  return std::make_unique<HttpTarget>(client, std::move(server), std::move(requests), time_max);
}

std::unique_ptr<LoadTarget> NewGrpcTarget(env::EventLoop& loop, env::Address server,
                                          std::vector<BufferList> messages,
                                          GrpcTargetOptions options) {
  TEPAL_CHECK(!options.connections.empty());
  if (options.streams > 0) {
    return std::make_unique<GrpcStreamTarget>(loop, server, std::move(messages), options);
  }
  return std::make_unique<GrpcUnaryTarget>(loop, server, std::move(messages), options);
}

std::unique_ptr<LoadTarget> NewVerifyingTarget(std::unique_ptr<LoadTarget> inner,
                                               CompareAnswers compare) {
  return std::make_unique<VerifyingTarget>(std::move(inner), std::move(compare));
}

Status CompareBytes(const Buffer& first, const Buffer& answer) {
  if (first.text() == answer.text()) return {};
  return Internal("wrong answer: not the bytes of the first answer to the same request");
}

Status CompareGrpcOutputs(const Buffer& first, const Buffer& answer) {
  ASSIGN_OR_RETURN(const InferAnswer expected, DecodeGrpcInfer(first));
  ASSIGN_OR_RETURN(const InferAnswer got, DecodeGrpcInfer(answer));
  const bool same =
      std::equal(expected.outputs.begin(), expected.outputs.end(), got.outputs.begin(),
                 got.outputs.end(), [](const InferOutput& a, const InferOutput& b) {
                   return a.name == b.name && a.type == b.type && a.shape == b.shape &&
                          a.data.text() == b.data.text();
                 });
  if (same) return {};
  return Internal("wrong answer: not the outputs of the first answer to the same request");
}

}  // namespace tepal::client
