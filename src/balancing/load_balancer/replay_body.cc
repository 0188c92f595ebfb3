#include "balancing/load_balancer/replay_body.h"

#include <algorithm>

namespace tepal::lb {

namespace {

constexpr size_t kPieceMin = 16 * 1024;
constexpr size_t kPieceMax = 256 * 1024;

}  // namespace

ReplayBody::ReplayBody(std::optional<uint64_t> content_length, size_t keep_max, Budget& budget)
    : budget_(budget),
      keep_max_(
          static_cast<size_t>(std::min<uint64_t>(keep_max, content_length.value_or(keep_max)))),
      length_(content_length),
      reserves_at_once_(content_length.has_value()) {
  if (reserves_at_once_ && !Reserve(keep_max_)) keep_max_ = 0;
}

bool ReplayBody::Reserve(size_t bytes) {
  if (!budget_.TryTake(bytes)) return false;
  reserved_ += bytes;
  return true;
}

ReplayBody::~ReplayBody() { Drop(); }

std::span<std::byte> ReplayBody::Room(size_t expected) {
  if (filled_ == filling_.size()) {
    size_t size = std::clamp(expected, kPieceMin, kPieceMax);
    if (length_.has_value() && *length_ > size_) {
      // A body that is kept whole lies in one piece.
      const uint64_t rest = *length_ - size_;
      size = static_cast<size_t>(std::min<uint64_t>(rest, std::max(kPieceMax, keep_max_)));
    }
    if (kept_ && !full()) {
      const size_t kept = static_cast<size_t>(std::min<uint64_t>(size, keep_max_ - size_));
      if (reserves_at_once_ || Reserve(kept)) {
        size = kept;
      } else {
        keep_max_ = static_cast<size_t>(size_);
      }
    }
    filling_ = Buffer::Allocate(size);
    filled_ = 0;
  }
  return {filling_.data() + filled_, filling_.size() - filled_};
}

Buffer ReplayBody::Received(size_t bytes) {
  const Buffer piece = filling_.Slice(filled_, bytes);
  if (kept_) {
    if (filled_ > 0 && !pieces_.empty()) {
      pieces_.back() = filling_.Slice(0, filled_ + bytes);
    } else {
      pieces_.push_back(piece);
    }
  }
  filled_ += bytes;
  size_ += bytes;
  return piece;
}

void ReplayBody::Drop() {
  if (!kept_) return;
  kept_ = false;
  pieces_.clear();
  budget_.Give(reserved_);
  reserved_ = 0;
  keep_max_ = 0;
}

}  // namespace tepal::lb
