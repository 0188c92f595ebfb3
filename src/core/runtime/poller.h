// The table of watched descriptors of one loop, over one epoll instance (epoll(7),
// level-triggered).
//
// Each watched descriptor has a slot with a generation, and epoll carries both: an event that was
// fetched for a descriptor whose owner has been destroyed meanwhile finds another generation and is
// dropped. Owned by one loop's thread.

#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/runtime/unique_fd.h"

namespace tepal::runtime {

class PollEvents {
 public:
  virtual ~PollEvents() = default;
  // May destroy the object. An error or hang-up is reported as whichever of the two is watched.
  virtual void OnPollReadable() {}
  virtual void OnPollWritable() {}
};

class Poller {
 public:
  // One descriptor's registration. A watch of nothing is taken out of epoll, which would otherwise
  // report hang-ups over and over.
  class Watch {
   public:
    Watch() = default;
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() { Close(); }

    void Open(Poller& poller, int fd, PollEvents& events);
    bool is_open() const { return poller_ != nullptr; }
    void Set(bool readable, bool writable);
    // Must come before the descriptor is closed.
    void Close();

   private:
    Poller* poller_ = nullptr;
    int fd_ = -1;
    uint32_t slot_ = 0;
    uint32_t events_ = 0;
  };

  static Result<UniqueFd> OpenEpoll();
  explicit Poller(UniqueFd epoll) : epoll_(std::move(epoll)) {}

  // Fetches what has happened, for Dispatch; `block`: waits until something has.
  void Wait(bool block);
  void Dispatch();

 private:
  struct Slot {
    PollEvents* events = nullptr;  // Null: free.
    uint32_t generation = 0;
    uint32_t watched = 0;
  };
  static constexpr size_t kEventsPerTurn = 256;

  UniqueFd epoll_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::array<epoll_event, kEventsPerTurn> fetched_;
  size_t fetched_count_ = 0;
};

}  // namespace tepal::runtime
