#include "network/http/out_queue.h"

#include <algorithm>

namespace tepal::http {

namespace {
constexpr size_t kBlockBytes = 1024;
constexpr size_t kBlockKeptBytes = 16 * 1024;
constexpr size_t kCopiedBytes = 256;  // Buffers up to this size are copied into the text.
}  // namespace

char* OutQueue::Reserve(size_t size) {
  if (size > block_.size() - block_used_) {
    const size_t capacity =
        std::max({size, kBlockBytes, std::min(2 * block_.size(), kBlockKeptBytes)});
    if (size_ > 0 && block_.size() > 0) full_blocks_.push_back(std::move(block_));
    block_ = Buffer::Allocate(capacity);
    block_used_ = 0;
  }
  return reinterpret_cast<char*>(block_.data() + block_used_);
}

void OutQueue::Commit(size_t size) {
  if (size == 0) return;
  const std::byte* begin = block_.data() + block_used_;
  block_used_ += size;
  size_ += size;
  if (pieces_.size() > first_) {
    Piece& last = pieces_.back();
    if (last.owner.data() == nullptr && last.data + last.size == begin) {
      last.size += size;
      return;
    }
  }
  pieces_.push_back({begin, size, Buffer()});
}

void OutQueue::Append(std::string_view text) {
  if (text.empty()) return;
  std::memcpy(Reserve(text.size()), text.data(), text.size());
  Commit(text.size());
}

void OutQueue::Append(Buffer buffer) {
  if (buffer.size() <= kCopiedBytes) return Append(buffer.text());
  size_ += buffer.size();
  const std::byte* data = buffer.data();
  const size_t size = buffer.size();
  pieces_.push_back({data, size, std::move(buffer)});
}

bool OutQueue::Gather(std::vector<env::ConstBytes>& pieces, size_t& bytes) const {
  for (size_t i = first_; i < pieces_.size(); ++i) {
    if (pieces.size() >= kGatherPiecesMax || bytes >= kGatherBytesMax) return false;
    pieces.push_back({pieces_[i].data, pieces_[i].size});
    bytes += pieces_[i].size;
  }
  return true;
}

void OutQueue::Consume(size_t bytes) {
  TEPAL_CHECK(bytes <= size_);
  size_ -= bytes;
  if (size_ == 0) return Clear();
  while (bytes > 0) {
    Piece& piece = pieces_[first_];
    const size_t part = std::min(bytes, piece.size);
    piece.data += part;
    piece.size -= part;
    bytes -= part;
    if (piece.size == 0) {
      piece.owner = Buffer();
      ++first_;
    }
  }
  if (first_ > 64 && first_ * 2 > pieces_.size()) {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
  }
}

void OutQueue::Clear() {
  pieces_.clear();
  full_blocks_.clear();
  first_ = 0;
  size_ = 0;
  block_used_ = 0;
  if (block_.size() > kBlockKeptBytes) block_ = Buffer();
}

}  // namespace tepal::http
