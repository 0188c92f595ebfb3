#include "network/http/http2_direct_read.h"

#include <algorithm>
#include <cstring>

#include "core/base/check.h"

namespace tepal::http {

Http2DirectRead::Head Http2DirectRead::Parse(const std::byte* bytes) {
  const auto at = [bytes](size_t i) { return std::to_integer<uint32_t>(bytes[i]); };
  constexpr uint32_t kEndStream = 0x1;
  constexpr uint32_t kPadded = 0x8;
  Head head;
  head.length = at(0) << 16 | at(1) << 8 | at(2);
  head.is_data = at(3) == 0 && (at(4) & kPadded) == 0;
  head.ends = (at(4) & kEndStream) != 0;
  head.stream = static_cast<int32_t>((at(5) & 0x7f) << 24 | at(6) << 16 | at(7) << 8 | at(8));
  return head;
}

int32_t Http2DirectRead::stream() const {
  if (head_filled_ > 0 || !frame_.is_data) return 0;
  return payload_left_ > 0 || alike_ ? frame_.stream : 0;
}

std::span<const std::span<std::byte>> Http2DirectRead::Plan(Buffer memory,
                                                            std::span<std::byte> scratch) {
  Release();
  memory_ = std::move(memory);
  std::span<std::byte> left(memory_.data(), memory_.size());
  const size_t under_way = std::min(payload_left_, left.size());
  if (under_way > 0) pieces_.push_back(left.first(under_way));
  left = left.subspan(under_way);
  first_head_ = pieces_.size();
  if (alike_ && under_way == payload_left_) Guess(left);
  pieces_.push_back(scratch);
  return pieces_;
}

void Http2DirectRead::Guess(std::span<std::byte> memory) {
  if (memory.empty()) return;
  guessed_heads_.resize(kFramesGuessedMax);
  for (auto& head : guessed_heads_) {
    if (memory.empty()) return;
    // The last one ends where the message does.
    const auto payload = memory.first(std::min<size_t>(frame_.length, memory.size()));
    pieces_.emplace_back(head);
    pieces_.push_back(payload);
    memory = memory.subspan(payload.size());
  }
}

void Http2DirectRead::Filled(size_t bytes) {
  size_t room = 0;
  for (const std::span<std::byte> piece : pieces_) room += piece.size();
  TEPAL_CHECK(bytes <= room);
  next_piece_ = 0;
  filled_ = bytes;
}

std::span<const std::byte> Http2DirectRead::Next() {
  if (filled_ == 0) return {};
  if (IsGuessedHead(next_piece_) && !GuessedRight()) return Gather();
  const std::span<std::byte> piece = pieces_[next_piece_++];
  const std::span<std::byte> run = piece.first(std::min(piece.size(), filled_));
  filled_ -= run.size();
  Follow(run);
  return run;
}

bool Http2DirectRead::IsGuessedHead(size_t piece) const {
  return piece >= first_head_ && (piece - first_head_) % 2 == 0 && piece + 1 < pieces_.size();
}

bool Http2DirectRead::GuessedRight() const {
  if (filled_ < kHeadBytes) return true;  // Nothing lies behind it yet.
  const Head head = Parse(pieces_[next_piece_].data());
  return head.is_data && head.stream == frame_.stream &&
         head.length == pieces_[next_piece_ + 1].size();
}

// Whoever takes the first of these bytes may write over the others: they move before.
std::span<const std::byte> Http2DirectRead::Gather() {
  gathered_.clear();
  gathered_.reserve(filled_);
  for (; filled_ > 0; ++next_piece_) {
    const std::span<std::byte> piece = pieces_[next_piece_];
    const size_t bytes = std::min(piece.size(), filled_);
    gathered_.insert(gathered_.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(bytes));
    filled_ -= bytes;
  }
  alike_ = false;
  Follow(gathered_);
  return gathered_;
}

void Http2DirectRead::Follow(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    size_t part;
    if (payload_left_ > 0) {
      part = std::min(payload_left_, bytes.size());
      payload_left_ -= part;
    } else {
      part = std::min(kHeadBytes - head_filled_, bytes.size());
      std::memcpy(head_.data() + head_filled_, bytes.data(), part);
      head_filled_ += part;
      if (head_filled_ == kHeadBytes) OnHead();
    }
    bytes = bytes.subspan(part);
  }
}

void Http2DirectRead::OnHead() {
  const Head before = frame_;
  frame_ = Parse(head_.data());
  head_filled_ = 0;
  payload_left_ = frame_.length;
  alike_ = before.is_data && frame_.is_data && !frame_.ends && before.stream == frame_.stream &&
           before.length == frame_.length && frame_.length >= kGuessedBytesMin;
}

void Http2DirectRead::Release() {
  memory_ = Buffer();
  pieces_.clear();
  filled_ = 0;
  if (!gathered_.empty()) gathered_ = {};
  // Most connections never need as much.
  if (guessed_heads_.empty()) return;
  guessed_heads_ = {};
  pieces_ = {};
}

}  // namespace tepal::http
