// Keeps a connection from being woken for every few kilobytes of a large body.
//
// A peer that sends a megabyte in frames of 16 KiB wakes its reader up to 64 times, and each wake
// costs more than the bytes do. While more of a body is known to come, the stream is asked to
// report kPieceBytes at a time. A body that stops coming is noticed within kPatience, and from then
// on every byte of it is reported again, so nothing waits longer than that. Owned by one loop.

#pragma once

#include <cstddef>

#include "core/env/event_loop.h"

namespace tepal::net {

class ReadCoalescing {
 public:
  static constexpr size_t kPieceBytes = 256 * 1024;
  static constexpr size_t kWorthwhileBytes = 32 * 1024;  // Less to come: not worth the calls.
  static constexpr Duration kPatience = std::chrono::milliseconds(1);

  explicit ReadCoalescing(env::EventLoop& loop) : loop_(loop) {}
  ReadCoalescing(const ReadCoalescing&) = delete;
  ReadCoalescing& operator=(const ReadCoalescing&) = delete;
  ~ReadCoalescing() { Stop(); }

  // The stream had something to read.
  void OnReadable() { fresh_ = true; }

  // After each turn: how many bytes of a body are known to come. `stream` lives until Stop.
  void Expect(env::Stream& stream, size_t bytes);
  void Stop();

 private:
  void OnPatienceOver();

  env::EventLoop& loop_;
  env::Stream* stream_ = nullptr;  // Null: nothing large is coming.
  size_t asked_for_ = 1;
  bool fresh_ = false;
  bool gave_up_ = false;
  env::EventLoop::TimerId timer_ = 0;
};

}  // namespace tepal::net
