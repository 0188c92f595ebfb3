// A value, or the Status that says why there is none.

#pragma once

#include <string_view>
#include <utility>
#include <variant>

#include "core/base/check.h"
#include "core/base/status.h"

namespace tepal {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : outcome_(std::move(value)) {}
  Result(Status error) : outcome_(std::move(error)) {
    TEPAL_CHECK(!std::get<Status>(outcome_).ok());
  }

  bool ok() const { return std::holds_alternative<T>(outcome_); }

  // The value; checked.
  T& value() & { return std::get<T>(outcome_); }
  const T& value() const& { return std::get<T>(outcome_); }
  // By value: what a temporary held must outlive the expression, as in `for (auto& x : *Call())`.
  T value() && { return std::get<T>(std::move(outcome_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }

  Status status() const { return ok() ? Status() : std::get<Status>(outcome_); }

  Result WithContext(std::string_view doing) && {
    if (ok()) return std::move(*this);
    return std::get<Status>(std::move(outcome_)).WithContext(doing);
  }

 private:
  std::variant<T, Status> outcome_;
};

}  // namespace tepal

#define TEPAL_JOIN_INNER(a, b) a##b
#define TEPAL_JOIN(a, b) TEPAL_JOIN_INNER(a, b)
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(TEPAL_JOIN(result_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                   \
  if (!result.ok()) return result.status();                     \
  declaration = std::move(result).value()
