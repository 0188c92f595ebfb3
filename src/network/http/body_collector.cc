#include "network/http/body_collector.h"

#include <algorithm>

#include "core/base/text.h"
#include "network/http/status_map.h"

namespace tepal::http {

namespace {
constexpr size_t kFirstGrowthBytes = 4096;  // Also the room for bytes to throw away.
}

BodyCollector::BodyCollector(std::optional<uint64_t> content_length, uint64_t bytes_max,
                             ResponseSender* sender)
    : bytes_max_(bytes_max),
      known_bytes_(static_cast<size_t>(std::min(content_length.value_or(0), bytes_max))),
      sender_(sender),
      overflowed_(content_length.value_or(0) > bytes_max) {}

Buffer BodyCollector::Allocate(size_t size) {
  return sender_ == nullptr ? Buffer::Allocate(size) : sender_->AllocateBody(size);
}

std::span<std::byte> BodyCollector::BodyRoom(size_t expected) {
  if (!overflowed_ && filled_ == buffer_.size() && !Grow(expected)) return {};
  if (overflowed_) {
    filled_ = 0;
    if (buffer_.size() != kFirstGrowthBytes) buffer_ = Buffer::Allocate(kFirstGrowthBytes);
  }
  return {buffer_.data() + filled_, buffer_.size() - filled_};
}

// False: there is no memory now.
bool BodyCollector::Grow(size_t expected) {
  uint64_t wanted = known_bytes_;
  if (wanted <= filled_) {
    wanted = std::max<uint64_t>({2 * static_cast<uint64_t>(buffer_.size()),
                                 filled_ + uint64_t{expected}, kFirstGrowthBytes});
  }
  const auto capacity = static_cast<size_t>(std::min(wanted, bytes_max_));
  if (capacity <= filled_) {
    overflowed_ = true;
    return true;
  }
  Buffer larger = Allocate(capacity);
  if (larger.empty()) return false;
  if (filled_ > 0) std::memcpy(larger.data(), buffer_.data(), filled_);
  buffer_ = std::move(larger);
  return true;
}

void BodyCollector::OnBody(size_t bytes) {
  TEPAL_CHECK(bytes <= buffer_.size() - filled_);
  if (!overflowed_) filled_ += bytes;
}

Buffer BodyCollector::OpenMemory() const {
  if (overflowed_) return {};
  return buffer_.Slice(filled_, buffer_.size() - filled_);
}

Buffer BodyCollector::Take() {
  Buffer body;
  if (!overflowed_) {
    buffer_.Truncate(filled_);
    body = std::move(buffer_);
  }
  buffer_ = Buffer();
  filled_ = 0;
  return body;
}

CollectingRequest::CollectingRequest(const RequestHead& head, uint64_t bytes_max,
                                     ResponseSender& sender, Function<void(Buffer)> done,
                                     Function<void(const Status&)> on_reset)
    : collector_(head.content_length, bytes_max, &sender),
      sender_(sender),
      done_(std::move(done)),
      on_reset_(std::move(on_reset)) {}

std::span<std::byte> CollectingRequest::BodyRoom(size_t expected) {
  const std::span<std::byte> room = collector_.BodyRoom(expected);
  if (collector_.overflowed()) Refuse();
  return room;
}

void CollectingRequest::OnBody(size_t bytes) { collector_.OnBody(bytes); }

void CollectingRequest::OnRequestEnd(const Headers&) {
  if (!refused_) done_(collector_.Take());
}

void CollectingRequest::OnReset(const Status& why) {
  if (!refused_ && on_reset_) on_reset_(why);
}

void CollectingRequest::Refuse() {
  if (refused_) return;
  refused_ = true;
  RespondError(sender_, 413, "the request body is larger than this resource takes");
}

}  // namespace tepal::http
