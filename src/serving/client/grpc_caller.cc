#include "serving/client/grpc_caller.h"

#include <utility>

#include "core/base/text.h"

namespace tepal::client {

Status NameCode(const Status& status) {
  return status.ok() ? status : Status(status.code(), status.ToString());
}

GrpcCaller::GrpcCaller(env::EventLoop& loop, net::HttpClient& client, env::Address server)
    : loop_(loop), client_(client), server_(std::move(server)) {}

GrpcCaller::~GrpcCaller() {
  for (Slot& slot : slots_) {
    if (slot.call != 0) loop_.Cancel(slot.timer);
  }
}

void GrpcCaller::Call(const http::RequestHead& head, BufferList framed, Duration time_max,
                      Done done) {
  if (free_.empty()) {
    free_.push_back(slots_.size());
    slots_.emplace_back();
  }
  const size_t index = free_.back();
  free_.pop_back();
  const uint64_t call = ++calls_;
  slots_[index].call = call;
  slots_[index].done = std::move(done);
  slots_[index].timer = loop_.RunAfter(time_max, [this, index, call, time_max] {
    End(index, call,
        DeadlineExceeded(Concat("DEADLINE_EXCEEDED: no answer within ",
                                ToMicroseconds(time_max) / 1000, " ms")));
  });
  auto exchange = client_.Send(
      server_, head, false,
      std::make_unique<http::GrpcUnaryResponse>(
          kGrpcAnswerBytesMax, [this, index, call](http::GrpcEnd end, Buffer message) {
            End(index, call,
                end.status.ok() ? Result<Buffer>(std::move(message)) : NameCode(end.status));
          }));
  if (slots_[index].call != call) return;  // Failed at once.
  exchange->sender().Write(std::move(framed));
  exchange->sender().Finish();
  if (slots_[index].call == call) slots_[index].exchange = std::move(exchange);
}

void GrpcCaller::End(size_t index, uint64_t call, Result<Buffer> answer) {
  Slot& slot = slots_[index];
  if (slot.call != call) return;
  slot.call = 0;
  loop_.Cancel(slot.timer);
  const auto exchange = std::move(slot.exchange);
  Done done = std::move(slot.done);
  free_.push_back(index);
  done(std::move(answer));
}

}  // namespace tepal::client
