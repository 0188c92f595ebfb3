// The seam to one event loop: timers, tasks, connections, datagrams.
//
// A loop runs on one thread (core/runtime) or in simulated time (sim/). Everything given to it is
// run there, one after the other; only Post may be called from another thread. What hangs off a
// loop (streams, listeners, datagram sockets, timers) is used and destroyed on the loop's thread.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/env/network.h"

namespace tepal::env {

class DatagramSocket;  // datagrams.h

using Task = Function<void()>;

class EventLoop {
 public:
  using TimerId = uint64_t;  // Never 0.

  virtual ~EventLoop() = default;

  // Monotonic time, read once per turn of the loop: cheap, and the same for all of one turn.
  virtual Instant Now() const = 0;
  virtual WallTime WallNow() const = 0;

  // Runs `task` soon, in order of posting. Any thread. Tasks posted to a loop that has stopped are
  // destroyed without being run.
  virtual void Post(Task task) = 0;

  // Runs `task` at the end of this turn, before the loop waits again. Loop thread only.
  virtual void Defer(Task task) = 0;

  // Runs `task` once at or after `when`. Loop thread only.
  virtual TimerId RunAt(Instant when, Task task) = 0;
  TimerId RunAfter(Duration delay, Task task) { return RunAt(Now() + delay, std::move(task)); }

  // A timer that has run or was cancelled is ignored. Loop thread only.
  virtual void Cancel(TimerId timer) = 0;

  virtual bool InLoopThread() const = 0;

  // Accepts connections until the listener is destroyed. `on_accept` gets streams that are not
  // attached to any loop yet: see Stream::Attach.
  virtual Result<std::unique_ptr<Listener>> Listen(
      const Address& address, const ListenOptions& options,
      Function<void(std::unique_ptr<Stream>)> on_accept) = 0;

  // Takes over a listening socket that another process bound (LISTEN_FDS).
  virtual Result<std::unique_ptr<Listener>> ListenOn(
      int descriptor, Function<void(std::unique_ptr<Stream>)> on_accept) = 0;

  // Connects and calls back exactly once, never before Connect returns, with a stream that is not
  // attached yet. Destroying the handle gives up without a call.
  class Connecting {
   public:
    virtual ~Connecting() = default;
  };
  virtual std::unique_ptr<Connecting> Connect(
      const Address& address, Function<void(Result<std::unique_ptr<Stream>>)> done) = 0;

  // A socket at a port that is drawn at random. `on_readable` runs while there is something to
  // receive, and must not destroy the socket. kInvalidArgument for a Unix socket's address.
  virtual Result<std::unique_ptr<DatagramSocket>> OpenDatagrams(const Address& peer,
                                                                Function<void()> on_readable) = 0;
};

}  // namespace tepal::env
