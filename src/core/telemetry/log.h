// The process's log: one line an event, in tritonserver's two formats or as JSON.
//
// Thread-safe; a line is written with one write. Settings may change while the process runs (the v2
// logging endpoint).

#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"

namespace tepal::telemetry {

enum class LogFormat { kDefault, kIso8601, kJson };

struct LogSettings {
  bool info = true;
  bool warning = true;
  bool error = true;
  int verbose_level = 0;  // 0: none.
  LogFormat format = LogFormat::kDefault;
  std::string file;  // Empty: stderr.
};

// Reads the wall clock through this; core/runtime sets it, tests leave it unset (no time printed).
using WallClock = int64_t (*)();  // Unix microseconds.
void SetLogClock(WallClock clock);

LogSettings GetLogSettings();
Status SetLogSettings(const LogSettings& settings);  // An error when the file cannot be opened.

// The place that logs; std::source_location, which Clang 14 does not have.
struct Where {
  const char* file;
  int line;
  static Where Here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

void LogInfo(std::string_view message, Where where = Where::Here());
void LogWarning(std::string_view message, Where where = Where::Here());
void LogError(std::string_view message, Where where = Where::Here());
// Written when the verbose level is at least `level`.
void LogVerbose(int level, std::string_view message, Where where = Where::Here());

}  // namespace tepal::telemetry
