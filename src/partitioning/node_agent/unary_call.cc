#include "partitioning/node_agent/unary_call.h"

#include "core/base/check.h"
#include "core/base/text.h"
#include "network/http/grpc_client.h"

namespace tepal::node_agent {

BufferList Serialize(const google::protobuf::MessageLite& message) {
  Buffer bytes = Buffer::Allocate(message.ByteSizeLong());
  TEPAL_CHECK(message.SerializeToArray(bytes.data(), static_cast<int>(bytes.size())));
  BufferList list;
  list.push_back(std::move(bytes));
  return list;
}

struct UnaryCall::State : std::enable_shared_from_this<State> {
  State(env::EventLoop& on, net::HttpClient::Options options, Done when_done)
      : loop(on), client(on, options), done(std::move(when_done)) {}

  // In a task of its own: `done` may destroy the call, and with it the client.
  void End(Status status, Buffer message) {
    if (over) return;
    over = true;
    if (timer != 0) loop.Cancel(std::exchange(timer, 0));
    loop.Post([weak = weak_from_this(), status = std::move(status),
               message = std::move(message)]() mutable {
      const auto self = weak.lock();
      if (self == nullptr) return;
      Done call = std::move(self->done);
      call(std::move(status), std::move(message));
    });
  }

  env::EventLoop& loop;
  net::HttpClient client;
  Done done;
  std::unique_ptr<net::HttpClient::Exchange> exchange;
  env::EventLoop::TimerId timer = 0;
  bool over = false;
};

UnaryCall::UnaryCall(env::EventLoop& loop, const std::string& socket, std::string_view method,
                     const google::protobuf::MessageLite& request, Duration time_max, Done done) {
  net::HttpClient::Options options;
  options.http2 = true;
  options.connect_time_max = time_max;
  state_ = std::make_shared<State>(loop, options, std::move(done));
  const std::weak_ptr<State> weak = state_;
  state_->exchange = state_->client.Send(
      {env::Address::Family::kUnix, socket, 0},
      http::MakeGrpcRequest("localhost", method, time_max), false,
      std::make_unique<http::GrpcUnaryResponse>(
          kKubeletMessageBytesMax,
          [weak, method = std::string(method)](http::GrpcEnd end, Buffer message) {
            const auto state = weak.lock();
            if (state == nullptr) return;
            state->End(std::move(end.status).WithContext(method), std::move(message));
          }));
  http::GrpcWrite(state_->exchange->sender(), Serialize(request));
  state_->exchange->sender().Finish();
  state_->timer = loop.RunAfter(time_max, [weak, socket] {
    if (const auto state = weak.lock()) {
      state->timer = 0;
      state->End(DeadlineExceeded(Concat("no answer on ", socket)), {});
    }
  });
}

UnaryCall::~UnaryCall() {
  state_->over = true;
  if (state_->timer != 0) state_->loop.Cancel(state_->timer);
}

}  // namespace tepal::node_agent
