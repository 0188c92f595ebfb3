#include "core/runtime/poller.h"

#include <cerrno>

#include "core/base/check.h"

namespace tepal::runtime {

Result<UniqueFd> Poller::OpenEpoll() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return Status::FromErrno(errno, "creating an epoll instance");
  return epoll;
}

void Poller::Watch::Open(Poller& poller, int fd, PollEvents& events) {
  TEPAL_CHECK(poller_ == nullptr);
  poller_ = &poller;
  fd_ = fd;
  if (poller.free_.empty()) {
    slot_ = static_cast<uint32_t>(poller.slots_.size());
    poller.slots_.emplace_back();
  } else {
    slot_ = poller.free_.back();
    poller.free_.pop_back();
  }
  Slot& slot = poller.slots_[slot_];
  slot.events = &events;
  slot.watched = 0;
  ++slot.generation;
}

void Poller::Watch::Set(bool readable, bool writable) {
  const uint32_t wanted =
      (readable ? uint32_t{EPOLLIN} : 0u) | (writable ? uint32_t{EPOLLOUT} : 0u);
  if (poller_ == nullptr || wanted == events_) return;
  Slot& slot = poller_->slots_[slot_];
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = (static_cast<uint64_t>(slot.generation) << 32) | slot_;
  const int operation = wanted == 0 ? EPOLL_CTL_DEL : events_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  // ENOSPC (fs.epoll.max_user_watches) and ENOMEM are the only failures a correct call can meet; a
  // connection that nobody watches would hang, so they end the program.
  TEPAL_CHECK(epoll_ctl(poller_->epoll_.get(), operation, fd_, &event) == 0);
  events_ = wanted;
  slot.watched = wanted;
}

void Poller::Watch::Close() {
  if (poller_ == nullptr) return;
  Set(false, false);
  poller_->slots_[slot_].events = nullptr;
  poller_->free_.push_back(slot_);
  poller_ = nullptr;
}

void Poller::Wait(bool block) {
  const int count =
      epoll_wait(epoll_.get(), fetched_.data(), static_cast<int>(fetched_.size()), block ? -1 : 0);
  TEPAL_CHECK(count >= 0 || errno == EINTR);
  fetched_count_ = count < 0 ? 0 : static_cast<size_t>(count);
}

void Poller::Dispatch() {
  for (size_t i = 0; i < fetched_count_; ++i) {
    const auto slot = static_cast<uint32_t>(fetched_[i].data.u64);
    const auto generation = static_cast<uint32_t>(fetched_[i].data.u64 >> 32);
    // Looked up again for each call: the one before may have destroyed the owner.
    const auto owner = [&](uint32_t kind) -> PollEvents* {
      const Slot& entry = slots_[slot];
      if (entry.generation != generation || (entry.watched & kind) == 0) return nullptr;
      return entry.events;
    };
    const uint32_t trouble = fetched_[i].events & uint32_t{EPOLLERR | EPOLLHUP};
    if ((fetched_[i].events & uint32_t{EPOLLIN}) != 0 || trouble != 0) {
      if (PollEvents* events = owner(EPOLLIN)) events->OnPollReadable();
    }
    if ((fetched_[i].events & uint32_t{EPOLLOUT}) != 0 || trouble != 0) {
      if (PollEvents* events = owner(EPOLLOUT)) events->OnPollWritable();
    }
  }
  fetched_count_ = 0;
}

}  // namespace tepal::runtime
