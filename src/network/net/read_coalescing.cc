#include "network/net/read_coalescing.h"

#include <algorithm>

namespace tepal::net {

void ReadCoalescing::Expect(env::Stream& stream, size_t bytes) {
  if (bytes < kWorthwhileBytes) {
    if (asked_for_ != 1) stream.WaitFor(asked_for_ = 1);
    stream_ = nullptr;
    gave_up_ = false;
    return;
  }
  if (gave_up_) return;
  stream_ = &stream;
  const size_t wanted = std::min(bytes, kPieceBytes);
  if (asked_for_ != wanted) stream.WaitFor(asked_for_ = wanted);
  if (timer_ == 0) timer_ = loop_.RunAfter(kPatience, [this] { OnPatienceOver(); });
}

void ReadCoalescing::OnPatienceOver() {
  timer_ = 0;
  if (stream_ == nullptr) return;
  if (std::exchange(fresh_, false)) {
    timer_ = loop_.RunAfter(kPatience, [this] { OnPatienceOver(); });
    return;
  }
  gave_up_ = true;
  stream_->WaitFor(asked_for_ = 1);
}

void ReadCoalescing::Stop() {
  if (timer_ != 0) loop_.Cancel(std::exchange(timer_, 0));
  stream_ = nullptr;
}

}  // namespace tepal::net
