// Where the bytes of an HTTP/2 connection are read to: payload straight into the memory it is for.
//
// The head of a DATA frame says how much payload follows, so what comes next from the socket can be
// received in its place, without a copy, and what comes after it elsewhere. While a stream sends
// frames of one length, as those of a large message are, the frames after it are guessed too: head,
// payload, head, payload. A wrong guess costs a copy: what came is put together again and given as
// it came, and nothing is guessed until two frames have been alike.
//
// Follows the frames by their heads; knows neither what they mean nor whether they are allowed.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/buffer/buffer.h"

namespace tepal::http {

class Http2DirectRead {
 public:
  // A server is sent a preface before the first frame.
  explicit Http2DirectRead(bool server) : payload_left_(server ? kPrefaceBytes : 0) {}

  // Whose payload comes next, as far as that is known; 0: nobody's.
  int32_t stream() const;

  // Room for the next read, never empty: in `memory`, where the payload of stream() goes and which
  // may be empty, and behind that in `scratch`. Holds on to the memory.
  std::span<const std::span<std::byte>> Plan(Buffer memory, std::span<std::byte> scratch);

  // The first `bytes` of that room were filled. Next gives them, in order; an empty run ends them.
  void Filled(size_t bytes);
  std::span<const std::byte> Next();

  // Forgets the room and lets go of the memory.
  void Release();

 private:
  static constexpr size_t kPrefaceBytes = 24;
  static constexpr size_t kHeadBytes = 9;
  static constexpr size_t kFramesGuessedMax = 64;
  static constexpr uint32_t kGuessedBytesMin = 256;  // Shorter payload: a copy costs less.

  struct Head {
    uint32_t length = 0;
    bool is_data = false;  // All of whose payload is data.
    bool ends = false;
    int32_t stream = 0;
  };
  static Head Parse(const std::byte* bytes);

  void Guess(std::span<std::byte> memory);
  bool IsGuessedHead(size_t piece) const;
  bool GuessedRight() const;
  std::span<const std::byte> Gather();
  void Follow(std::span<const std::byte> bytes);
  void OnHead();

  // The frame under way, or the last one.
  Head frame_;
  size_t payload_left_;
  bool alike_ = false;  // It and the one before: another may follow.
  std::array<std::byte, kHeadBytes> head_;
  size_t head_filled_ = 0;

  Buffer memory_;
  std::vector<std::span<std::byte>> pieces_;
  size_t first_head_ = 0;  // Of guessed frames, in pieces_: every other one up to the scratch.
  std::vector<std::array<std::byte, kHeadBytes>> guessed_heads_;
  size_t next_piece_ = 0;
  size_t filled_ = 0;  // Bytes that Next has not given.
  std::vector<std::byte> gathered_;
};

}  // namespace tepal::http
