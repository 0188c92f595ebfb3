// Shared state together with the lock that guards it.
//
// The value can be reached only through Lock(), so a read without the lock does not compile.

#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

namespace tepal {

template <typename T>
class Guarded {
 public:
  class Access {
   public:
    T* operator->() { return &value_; }
    T& operator*() { return value_; }

    // For waiting on a std::condition_variable while the value is held.
    std::unique_lock<std::mutex>& lock() { return lock_; }

   private:
    friend class Guarded;
    Access(std::mutex& mutex, T& value) : lock_(mutex), value_(value) {}
    std::unique_lock<std::mutex> lock_;
    T& value_;
  };

  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}

  [[nodiscard]] Access Lock() { return Access(mutex_, value_); }

 private:
  std::mutex mutex_;
  T value_{};
};

}  // namespace tepal
