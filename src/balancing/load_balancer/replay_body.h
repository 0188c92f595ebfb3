// A body on its way through: received in pieces, kept while it may have to be sent (again).
//
// Up to `keep_max` bytes are kept (fewer when the declared length is smaller), reserved in a budget
// that all bodies share: at once when the length is known, as the body grows otherwise. When the
// budget is full nothing more is kept, and the body can only stream. Owned by one loop.

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

  // How long the body will be, learned after its first bytes. Only sizes what is allocated.
  void Learn(uint64_t length) { length_ = length; }
  const std::optional<uint64_t>& length() const { return length_; }

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
  bool Reserve(size_t bytes);

  Budget& budget_;
  size_t keep_max_;
  std::optional<uint64_t> length_;
  const bool reserves_at_once_;
  size_t reserved_ = 0;
  bool kept_ = true;
  uint64_t size_ = 0;
  Buffer filling_;
  size_t filled_ = 0;
  BufferList pieces_;
};

}  // namespace tepal::lb
