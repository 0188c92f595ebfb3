// The seam to the network: byte streams and the addresses they run between.
//
// A Stream is readiness based, like the sockets under it: the owner is told that it may read or
// write, says where the bytes go, and gets as many as there are. So an idle connection holds no
// buffer, and a request body is received straight into the tensor's memory. Streams know nothing of
// HTTP. TLS is a Stream over a Stream (net/tls.h). The simulated network (sim/) gives the same
// interface partial writes, resets and delays.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace tepal::env {

class EventLoop;

// "127.0.0.1:8000", "[::1]:8000" or "unix:/run/tepal.sock". Numeric only: names are resolved by
// net/resolver.h.
struct Address {
  enum class Family { kIp4, kIp6, kUnix };
  Family family = Family::kIp4;
  std::string host;   // "127.0.0.1", "::1", or the path of a Unix socket.
  uint16_t port = 0;  // 0 for Unix sockets; 0 when listening means any free port.

  static Result<Address> Parse(std::string_view text);
  std::string ToString() const;
  bool operator==(const Address&) const = default;
};

struct ConstBytes {
  const std::byte* data;
  size_t size;
};

struct IoResult {
  enum class Outcome {
    kDone,        // `bytes` were moved; at least one.
    kWouldBlock,  // Nothing now; ask again after the event.
    kEnd,         // Reading: the peer has half-closed. Never for writing.
    kFailed,      // `error` is an errno; the stream is of no more use.
  };
  Outcome outcome = Outcome::kWouldBlock;
  size_t bytes = 0;
  int error = 0;
};

class StreamEvents {
 public:
  virtual ~StreamEvents() = default;
  // The stream may be destroyed inside either call.
  virtual void OnReadable() = 0;
  virtual void OnWritable() = 0;
};

class Stream {
 public:
  // Closes. Unsent bytes in the kernel are still sent.
  virtual ~Stream() = default;

  // Binds the stream to the loop it will live on; once, before anything else, on that loop's
  // thread. Nothing is watched until Watch.
  virtual void Attach(EventLoop& loop, StreamEvents& events) = 0;

  // Which events to report, level-triggered, until changed. An error or hang-up is reported as
  // whichever is watched; nothing is reported while neither is.
  virtual void Watch(bool readable, bool writable) = 0;

  // A wish: to report fewer than `bytes` bytes to read only once the peer has no more to send; 1 to
  // begin with. What streams cannot do they leave.
  virtual void WaitFor(size_t /*bytes*/) {}

  // Up to into.size() bytes.
  virtual IoResult Read(std::span<std::byte> into) = 0;

  // The same into several pieces, none of them empty, one after the other.
  virtual IoResult ReadPieces(std::span<const std::span<std::byte>> pieces);

  // As much of `pieces`, in order, as fits now.
  virtual IoResult Write(std::span<const ConstBytes> pieces) = 0;

  // Half-close: the peer sees the end after what was written.
  virtual void ShutdownWrite() = 0;

  // Makes the destructor send a reset instead of an orderly close.
  virtual void AbortOnClose() = 0;

  virtual Address local_address() const = 0;
  virtual Address peer_address() const = 0;
};

struct ListenOptions {
  bool reuse_port = false;  // SO_REUSEPORT.
  int backlog = 1024;
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual Address address() const = 0;  // With the port that was given for 0.
  // Stops and starts accepting without closing the socket.
  virtual void Pause(bool paused) = 0;
  // Accepts now whoever has connected already: closing a listener resets those that still wait.
  virtual void AcceptWaiting() {}
};

}  // namespace tepal::env
