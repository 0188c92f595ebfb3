#include "sim/simulated_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tepal::sim {

SimulatedStream::SimulatedStream(SimulatedNetwork& network, std::shared_ptr<Link> link, size_t side,
                                 env::Address local, env::Address peer)
    : network_(network),
      link_(std::move(link)),
      side_(side),
      local_(std::move(local)),
      peer_(std::move(peer)) {
  out().stream = this;
}

SimulatedStream::~SimulatedStream() {
  if (loop_ != nullptr) loop_->Remove(*this);
  out().stream = nullptr;
  if (reset_) return;
  // As TCP does when bytes that came will never be read.
  if (abort_ || !in().arrived.empty()) {
    SendReset();
  } else if (!write_shut_) {
    SendEnd();
  }
}

void SimulatedStream::Attach(env::EventLoop& loop, env::StreamEvents& events) {
  TEPAL_CHECK(loop_ == nullptr && loop.InLoopThread());
  loop_ = &static_cast<SimulatedLoop&>(loop);
  events_ = &events;
  loop_->Add(*this);
}

void SimulatedStream::Watch(bool readable, bool writable) {
  watch_readable_ = readable;
  watch_writable_ = writable;
  Notify();
}

bool SimulatedStream::Ready() const {
  return (watch_readable_ && CanRead()) || (watch_writable_ && CanWrite());
}

void SimulatedStream::Poll() {
  const std::weak_ptr<int> alive = alive_;
  if (watch_readable_ && CanRead()) events_->OnReadable();
  if (alive.expired()) return;
  if (watch_writable_ && CanWrite()) events_->OnWritable();
}

void SimulatedStream::Notify() {
  if (loop_ != nullptr && Ready()) loop_->Wake();
}

void SimulatedStream::OnReset() {
  if (reset_) return;
  reset_ = true;
  // A reset may destroy what has arrived and was not read (RFC 9112 section 9.6).
  if (network_.Chance(0.5)) in().arrived.clear();
  Notify();
}

env::IoResult SimulatedStream::Read(std::span<std::byte> into) {
  TEPAL_CHECK(!into.empty());
  std::string& arrived = in().arrived;
  if (arrived.empty()) {
    if (reset_) return {env::IoResult::Outcome::kFailed, 0, ECONNRESET};
    if (in().ended) return {env::IoResult::Outcome::kEnd, 0, 0};
    return {};
  }
  size_t size = std::min(into.size(), arrived.size());
  if (network_.Chance(network_.options().short_read)) {
    size = 1 + network_.world().random().Below(size);
  }
  std::memcpy(into.data(), arrived.data(), size);
  arrived.erase(0, size);
  if (in().stream != nullptr) in().stream->Notify();
  return {env::IoResult::Outcome::kDone, size, 0};
}

size_t SimulatedStream::Room() const {
  const size_t used = out().in_flight + out().arrived.size();
  const size_t limit = network_.options().in_flight_bytes_max;
  return used < limit ? limit - used : 0;
}

env::IoResult SimulatedStream::Write(std::span<const env::ConstBytes> pieces) {
  TEPAL_CHECK(!write_shut_);
  if (reset_) return {env::IoResult::Outcome::kFailed, 0, EPIPE};
  if (Room() == 0 || network_.Chance(network_.options().refuse_write)) return {};
  const size_t limit = std::min(Room(), network_.options().segment_bytes_max);
  const size_t size_max = 1 + network_.world().random().Below(limit);
  std::string segment;
  for (const env::ConstBytes& piece : pieces) {
    const size_t part = std::min(piece.size, size_max - segment.size());
    segment.append(reinterpret_cast<const char*>(piece.data), part);
  }
  const size_t size = segment.size();
  TEPAL_CHECK(size > 0);
  SendSegment(std::move(segment));
  return {env::IoResult::Outcome::kDone, size, 0};
}

void SimulatedStream::Send(env::Task arrive) {
  const Instant earliest = network_.world().now() + network_.DrawLatency();
  out().last_arrival = std::max(out().last_arrival, earliest);
  network_.At(out().last_arrival, std::move(arrive));
}

void SimulatedStream::SendSegment(std::string bytes) {
  out().in_flight += bytes.size();
  Send([&network = network_, link = link_, side = side_, bytes = std::move(bytes)] {
    Link::Side& sent = link->sides[side];
    sent.in_flight -= bytes.size();
    if (SimulatedStream* const reader = link->sides[1 - side].stream) {
      if (reader->reset_) return;
      sent.arrived += bytes;
      return reader->Notify();
    }
    // Nobody there: the answer is a reset.
    network.At(network.world().now() + network.DrawLatency(), [link, side] {
      if (SimulatedStream* const writer = link->sides[side].stream) writer->OnReset();
    });
  });
}

void SimulatedStream::SendReset() {
  Send([link = link_, side = side_] {
    if (SimulatedStream* const other = link->sides[1 - side].stream) other->OnReset();
  });
}

void SimulatedStream::SendEnd() {
  Send([link = link_, side = side_] {
    link->sides[side].ended = true;
    if (SimulatedStream* const reader = link->sides[1 - side].stream) reader->Notify();
  });
}

void SimulatedStream::ShutdownWrite() {
  if (write_shut_ || reset_) return;
  write_shut_ = true;
  SendEnd();
}

}  // namespace tepal::sim
