// A callable that can be moved but not copied, so it may own what it captures.
//
// Small callables (up to six pointers) live inside; larger ones on the heap. Calling an empty one
// is a programmer's mistake and stops the program.

#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "core/base/check.h"

namespace tepal {

template <typename Signature>
class Function;

template <typename R, typename... Args>
class Function<R(Args...)> {
 public:
  Function() = default;
  Function(std::nullptr_t) {}

  template <typename F>
  requires(!std::is_same_v<std::decay_t<F>, Function> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, Args...>) Function(F&& f) {
    using Callable = std::decay_t<F>;
    if constexpr (kFits<Callable>) {
      new (storage_) Callable(std::forward<F>(f));
      operations_ = &kInline<Callable>;
    } else {
      *reinterpret_cast<Callable**>(storage_) = new Callable(std::forward<F>(f));
      operations_ = &kHeap<Callable>;
    }
  }

  Function(Function&& other) noexcept { TakeFrom(other); }
  Function& operator=(Function&& other) noexcept {
    if (this != &other) {
      Reset();
      TakeFrom(other);
    }
    return *this;
  }
  ~Function() { Reset(); }

  explicit operator bool() const { return operations_ != nullptr; }

  R operator()(Args... args) {
    TEPAL_CHECK(operations_ != nullptr);
    return operations_->call(storage_, std::forward<Args>(args)...);
  }

 private:
  static constexpr size_t kInlineBytes = 6 * sizeof(void*);

  struct Operations {
    R (*call)(void*, Args&&...);
    void (*move)(void* from, void* to);  // Leaves `from` destroyed.
    void (*destroy)(void*);
  };

  template <typename Callable>
  static constexpr bool kFits = sizeof(Callable) <= kInlineBytes &&
                                alignof(Callable) <= alignof(std::max_align_t) &&
                                std::is_nothrow_move_constructible_v<Callable>;

  template <typename Callable>
  static constexpr Operations kInline = {
      [](void* self, Args&&... args) -> R {
        return (*static_cast<Callable*>(self))(std::forward<Args>(args)...);
      },
      [](void* from, void* to) {
        new (to) Callable(std::move(*static_cast<Callable*>(from)));
        static_cast<Callable*>(from)->~Callable();
      },
      [](void* self) { static_cast<Callable*>(self)->~Callable(); }};

  template <typename Callable>
  static constexpr Operations kHeap = {
      [](void* self, Args&&... args) -> R {
        return (**static_cast<Callable**>(self))(std::forward<Args>(args)...);
      },
      [](void* from, void* to) { *static_cast<Callable**>(to) = *static_cast<Callable**>(from); },
      [](void* self) { delete *static_cast<Callable**>(self); }};

  void TakeFrom(Function& other) {
    operations_ = std::exchange(other.operations_, nullptr);
    if (operations_ != nullptr) operations_->move(other.storage_, storage_);
  }
  void Reset() {
    if (operations_ != nullptr) std::exchange(operations_, nullptr)->destroy(storage_);
  }

  const Operations* operations_ = nullptr;
  alignas(std::max_align_t) std::byte storage_[kInlineBytes];
};

}  // namespace tepal
