// Bytes that wait for the transport: text of our own and buffers of others, in order.
//
// Text is copied into blocks that the queue keeps and reuses, buffers are sent from where they lie
// unless they are so small that a copy costs less than one more piece of a gathered write. What
// Gather gave stays valid until Consume, whatever is appended in between.

#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/buffer/buffer.h"
#include "core/env/network.h"

namespace tepal::http {

class OutQueue {
 public:
  void Append(std::string_view text);
  void Append(Buffer buffer);

  // Room for `size` bytes of text to be written in place; Commit says how many it became. Nothing
  // else may be appended in between.
  char* Reserve(size_t size);
  void Commit(size_t size);

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Adds pieces until the queue's end or until `pieces` or their bytes reach their limits. False
  // when a limit cut it short.
  bool Gather(std::vector<env::ConstBytes>& pieces, size_t& bytes) const;

  // The first `bytes` were written; no more than size().
  void Consume(size_t bytes);
  void Clear();

  static constexpr size_t kGatherPiecesMax = 256;
  static constexpr size_t kGatherBytesMax = 4u << 20;

 private:
  struct Piece {
    const std::byte* data;
    size_t size;
    Buffer owner;  // Empty for text.
  };

  std::vector<Piece> pieces_;
  size_t first_ = 0;  // Pieces before it are consumed.
  size_t size_ = 0;
  Buffer block_;
  size_t block_used_ = 0;
  std::vector<Buffer> full_blocks_;  // Still pointed to by pieces.
};

}  // namespace tepal::http
