// The trace extension's settings: how often requests would be traced, for the server and for
// models.
//
// Kept and answered as Triton does without a trace file, which nothing can name here: nothing is
// traced yet, and the only level is OFF. A model follows the server in whatever it has not been
// given a value of its own. Thread-safe.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/guarded.h"
#include "core/base/result.h"
#include "core/json/value.h"

namespace tepal {

class TraceSettings {
 public:
  // `model` is empty for the server's own.
  std::string Json(const std::string& model);

  // Members of `body` that are settings: a text, or null to follow the server (the server: the
  // default) again. All of them are taken or, on an error, none. kInvalidArgument. `got` stands
  // before a count that is too small: Triton's doors differ by a space.
  Status Update(const std::string& model, const json::Value& body, std::string_view got = "got:");

 private:
  struct Values {
    std::optional<int64_t> rate, count, log_frequency;
  };

  static Status ReadAll(const json::Value& body, std::string_view got, Values& values);

  Guarded<std::map<std::string, Values>> values_;  // By model; "" is the server.
};

}  // namespace tepal
