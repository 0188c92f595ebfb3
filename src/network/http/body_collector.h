// Gathers a whole body into one 64-byte aligned Buffer.
//
// With a known length the buffer has its final size from the start, and a session can receive
// straight into it; without one it grows by doubling. Bodies above the maximum are refused: what
// still comes is thrown away.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "core/base/function.h"
#include "network/http/stream.h"

namespace tepal::http {

class BodyCollector {
 public:
  // With a sender the memory is that of its request's body.
  BodyCollector(std::optional<uint64_t> content_length, uint64_t bytes_max,
                ResponseSender* sender = nullptr);

  // As BodySink has them.
  std::span<std::byte> BodyRoom(size_t expected);
  void OnBody(size_t bytes);
  Buffer OpenMemory() const;

  // More than the maximum was declared or came; Take gives nothing.
  bool overflowed() const { return overflowed_; }

  // The body so far; the collector is empty afterwards.
  Buffer Take();

 private:
  bool Grow(size_t expected);
  Buffer Allocate(size_t size);

  const uint64_t bytes_max_;
  const size_t known_bytes_;  // 0: unknown, or nothing will come.
  ResponseSender* const sender_;
  Buffer buffer_;  // Its size is the capacity.
  size_t filled_ = 0;
  bool overflowed_ = false;
};

// Takes a request's whole body, then calls `done` once with it. A body above `bytes_max` is
// answered with 413, and `done` is never called; nor is it when the exchange is reset, which
// `on_reset` is told. `done` and `on_reset` may answer or not, at any time (see stream.h).
class CollectingRequest final : public RequestReceiver {
 public:
  CollectingRequest(const RequestHead& head, uint64_t bytes_max, ResponseSender& sender,
                    Function<void(Buffer body)> done,
                    Function<void(const Status& why)> on_reset = nullptr);

  std::span<std::byte> BodyRoom(size_t expected) override;
  void OnBody(size_t bytes) override;
  Buffer OpenMemory() const override { return collector_.OpenMemory(); }
  void OnRequestEnd(const Headers& trailers) override;
  void OnReset(const Status& why) override;

 private:
  void Refuse();

  BodyCollector collector_;
  ResponseSender& sender_;
  Function<void(Buffer)> done_;
  Function<void(const Status&)> on_reset_;
  bool refused_ = false;
};

// Throws a request's body away: for handlers that have answered already.
class DiscardingRequest final : public RequestReceiver {
 public:
  std::span<std::byte> BodyRoom(size_t) override { return waste_; }
  void OnBody(size_t) override {}
  void OnRequestEnd(const Headers&) override {}
  void OnReset(const Status&) override {}

 private:
  std::byte waste_[1024];
};

}  // namespace tepal::http
