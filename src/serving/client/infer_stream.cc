#include "serving/client/infer_stream.h"

#include <cstring>

#include "core/base/text.h"
#include "serving/client/grpc_caller.h"
#include "serving/client/grpc_codec.h"

namespace tepal::client {
namespace {

// An id is its slot in hexadecimal, always so long: its field has one size.
constexpr size_t kIdDigits = 8;
constexpr size_t kIdFieldBytes = kIdDigits + 2;
constexpr size_t kPrefixBytes = 5;
// Below this a copy costs less than another piece of a gathered write.
constexpr size_t kCopyBytesMax = 4096;

void WriteLength(std::byte* out, size_t size) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<std::byte>(size >> (24 - 8 * i));
}

void WriteId(std::byte* out, size_t slot) {
  constexpr char kDigits[] = "0123456789abcdef";
  out[0] = std::byte{3 << 3 | 2};  // Field 3, a text.
  out[1] = std::byte{kIdDigits};
  for (size_t i = 0; i < kIdDigits; ++i) {
    out[2 + i] = static_cast<std::byte>(kDigits[slot >> (4 * (kIdDigits - 1 - i)) & 15]);
  }
}

std::optional<size_t> ReadId(std::string_view id) {
  uint32_t slot = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), slot, 16);
  if (id.size() != kIdDigits || error != std::errc() || end != id.data() + id.size()) {
    return std::nullopt;
  }
  return slot;
}

// `message` in a frame, with the slot's id before it.
BufferList Frame(const BufferList& message, size_t slot) {
  const size_t size = TotalSize(message);
  const bool copies = size <= kCopyBytesMax;
  constexpr size_t kHeadBytes = kPrefixBytes + kIdFieldBytes;
  Buffer head = Buffer::Allocate(kHeadBytes + (copies ? size : 0));
  head.data()[0] = std::byte{0};
  WriteLength(head.data() + 1, size + kIdFieldBytes);
  WriteId(head.data() + kPrefixBytes, slot);
  BufferList frame;
  if (copies) {
    std::byte* at = head.data() + kHeadBytes;
    for (const Buffer& piece : message) {
      if (piece.size() > 0) std::memcpy(at, piece.data(), piece.size());
      at += piece.size();
    }
    frame.push_back(std::move(head));
  } else {
    frame.push_back(std::move(head));
    frame.insert(frame.end(), message.begin(), message.end());
  }
  return frame;
}

}  // namespace

InferStream::InferStream(env::EventLoop& loop, net::HttpClient& client, env::Address server,
                         Duration time_max)
    : loop_(loop),
      client_(client),
      server_(std::move(server)),
      time_max_(time_max),
      head_(http::MakeGrpcRequest("", GrpcMethod("ModelStreamInfer"))) {}

InferStream::~InferStream() {
  if (timer_ != 0) loop_.Cancel(timer_);
}

void InferStream::Send(const BufferList& message, Done done) {
  if (exchange_ == nullptr) Open();
  if (exchange_ == nullptr) {
    return done(Unavailable("UNAVAILABLE: the stream could not be opened"));
  }
  if (free_.empty()) {
    free_.push_back(slots_.size());
    slots_.emplace_back();
  }
  const size_t slot = free_.back();
  free_.pop_back();
  slots_[slot] = {std::move(done), ++requests_};
  sent_.push_back({loop_.Now(), slot, requests_});
  if (timer_ == 0) WatchTime();
  exchange_->sender().Write(Frame(message, slot));
}

void InferStream::Open() {
  const uint64_t generation = ++generation_;
  http::GrpcStreamResponse::Calls calls;
  calls.on_message = [this, generation](Buffer message) {
    if (generation == generation_) OnMessage(message);
  };
  calls.on_end = [this, generation](http::GrpcEnd end) {
    if (generation != generation_) return;
    OnEnd(end.status.ok() ? Unavailable("UNAVAILABLE: the server ended the stream")
                          : NameCode(end.status));
  };
  auto exchange = client_.Send(
      server_, head_, false,
      std::make_unique<http::GrpcStreamResponse>(kGrpcAnswerBytesMax, std::move(calls)));
  if (generation == generation_) exchange_ = std::move(exchange);
}

void InferStream::OnMessage(const Buffer& message) {
  Result<StreamAnswer> answer = DecodeStreamAnswer(message);
  if (!answer.ok()) return Break(answer.status());
  const std::optional<size_t> slot = ReadId(answer->id);
  if (!slot || *slot >= slots_.size() || slots_[*slot].request == 0) {
    return Break(Internal(answer->error.empty()
                              ? Concat("an answer to no request of ours: id '", answer->id, "'")
                              : std::string(answer->error)));
  }
  End(*slot, answer->error.empty() ? Result<Buffer>(std::move(answer->response))
                                   : Internal(std::string(answer->error)));
}

void InferStream::End(size_t slot, Result<Buffer> answer) {
  Done done = std::move(slots_[slot].done);
  slots_[slot].request = 0;
  free_.push_back(slot);
  while (!sent_.empty() && slots_[sent_.front().slot].request != sent_.front().request) {
    sent_.pop_front();
  }
  done(std::move(answer));
}

void InferStream::Break(const Status& why) {
  exchange_.reset();
  OnEnd(why);
}

void InferStream::OnEnd(const Status& why) {
  const Status kept_why = why;
  ++generation_;
  exchange_.reset();
  // Those that `done` sends meanwhile are on a new stream.
  const uint64_t last = requests_;
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].request != 0 && slots_[slot].request <= last) End(slot, kept_why);
  }
}

void InferStream::WatchTime() {
  timer_ = loop_.RunAt(sent_.front().at + time_max_, [this] { OnTimer(); });
}

void InferStream::OnTimer() {
  timer_ = 0;
  if (!sent_.empty() && sent_.front().at + time_max_ <= loop_.Now()) {
    Break(DeadlineExceeded(Concat("DEADLINE_EXCEEDED: no answer within ",
                                  ToMicroseconds(time_max_) / 1000,
                                  " ms; the stream is broken off")));
  }
  if (timer_ == 0 && !sent_.empty()) WatchTime();
}

}  // namespace tepal::client
