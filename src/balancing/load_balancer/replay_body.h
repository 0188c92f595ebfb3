// A request's body on its way through: received in pieces, kept while it may have to be sent again.
//
// Up to `keep_max` bytes are kept (fewer when the declared length is smaller), reserved in a budget
// that all requests share; when that is full nothing is kept, and the body can only stream. Owned
// by one loop.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/buffer/budget.h"
#include "core/buffer/buffer.h"

namespace tepal::lb {

class ReplayBody {
 public:
  ReplayBody(std::optional<uint64_t> content_length, size_t keep_max, Budget& budget);
  ~ReplayBody();
  ReplayBody(const ReplayBody&) = delete;
  ReplayBody& operator=(const ReplayBody&) = delete;

  // Where the next bytes go; never empty. `expected` as in http::BodySink.
  std::span<std::byte> Room(size_t expected);

  // The bytes just received; while the body is kept they are also added to pieces().
  Buffer Received(size_t bytes);

  // All of what has come so far is in pieces().
  bool kept() const { return kept_; }
  // As much is kept as may be.
  bool full() const { return size_ >= keep_max_; }
  size_t keep_max() const { return keep_max_; }
  uint64_t size() const { return size_; }
  const BufferList& pieces() const { return pieces_; }

  // From now on the body only streams.
  void Drop();

 private:
  Budget& budget_;
  size_t keep_max_;
  const std::optional<uint64_t> content_length_;
  bool kept_ = true;
  uint64_t size_ = 0;
  Buffer filling_;
  size_t filled_ = 0;
  BufferList pieces_;
};

}  // namespace tepal::lb
