#include "core/telemetry/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "core/base/guarded.h"
#include "core/base/text.h"

namespace tepal::telemetry {
namespace {

struct LogState {
  LogSettings settings;
  int descriptor = STDERR_FILENO;
};

Guarded<LogState>& State() {
  static auto& state = *new Guarded<LogState>();  // Outlives every static that might log.
  return state;
}

std::atomic<WallClock>& ClockSlot() {
  static std::atomic<WallClock> clock{nullptr};
  return clock;
}

// What is asked on every LogVerbose, without the lock.
std::atomic<int>& VerboseLevel() {
  static std::atomic<int> level{0};
  return level;
}

std::string_view FileName(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

void AppendJsonText(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", c);
      out.append(escape);
    } else {
      out.push_back(c);
    }
  }
}

// Control characters would let a client forge lines.
void AppendPlainText(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\n') {
      out.append("\\n");
    } else if (c == '\r') {
      out.append("\\r");
    } else {
      out.push_back(c);
    }
  }
}

std::string Line(LogFormat format, char severity, std::string_view message, Where where) {
  const WallClock clock = ClockSlot().load(std::memory_order_relaxed);
  const int64_t micros = clock == nullptr ? 0 : clock();
  const std::time_t seconds = micros / 1'000'000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char stamp[80];
  std::string line;
  switch (format) {
    case LogFormat::kDefault:
      std::snprintf(stamp, sizeof(stamp), "%c%02d%02d %02d:%02d:%02d.%06d %d ", severity,
                    utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                    static_cast<int>(micros % 1'000'000), getpid());
      line = Concat(std::string_view(stamp), FileName(where.file), ":", where.line, "] \"");
      AppendPlainText(line, message);
      line += "\"\n";
      break;
    case LogFormat::kIso8601:
      std::snprintf(stamp, sizeof(stamp), "%04d-%02d-%02dT%02d:%02d:%02dZ %c %d ",
                    utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                    utc.tm_sec, severity, getpid());
      line = Concat(std::string_view(stamp), FileName(where.file), ":", where.line, "] \"");
      AppendPlainText(line, message);
      line += "\"\n";
      break;
    case LogFormat::kJson:
      std::snprintf(stamp, sizeof(stamp),
                    R"({"time":"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ","level":"%c","pid":%d,)",
                    utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                    utc.tm_sec, static_cast<int>(micros % 1'000'000), severity, getpid());
      line = Concat(std::string_view(stamp), R"("at":")", FileName(where.file), ":", where.line,
                    R"(","message":")");
      AppendJsonText(line, message);
      line += "\"}\n";
      break;
  }
  return line;
}

void Write(char severity, bool LogSettings::*enabled, std::string_view message, Where where) {
  auto state = State().Lock();
  if (enabled != nullptr && !(state->settings.*enabled)) return;
  const std::string line = Line(state->settings.format, severity, message, where);
  // A log that cannot be written (a full disk) must not stop the server.
  [[maybe_unused]] const ssize_t written = write(state->descriptor, line.data(), line.size());
}

}  // namespace

void SetLogClock(WallClock clock) { ClockSlot().store(clock); }

LogSettings GetLogSettings() { return State().Lock()->settings; }

Status SetLogSettings(const LogSettings& settings) {
  auto state = State().Lock();
  if (settings.file != state->settings.file) {
    int descriptor = STDERR_FILENO;
    if (!settings.file.empty()) {
      descriptor = open(settings.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      if (descriptor < 0) return Status::FromErrno(errno, "opening log file " + settings.file);
    }
    if (state->descriptor != STDERR_FILENO) close(state->descriptor);
    state->descriptor = descriptor;
  }
  state->settings = settings;
  VerboseLevel().store(settings.verbose_level, std::memory_order_relaxed);
  return {};
}

void LogInfo(std::string_view message, Where where) {
  Write('I', &LogSettings::info, message, where);
}
void LogWarning(std::string_view message, Where where) {
  Write('W', &LogSettings::warning, message, where);
}
void LogError(std::string_view message, Where where) {
  Write('E', &LogSettings::error, message, where);
}
void LogVerbose(int level, std::string_view message, Where where) {
  if (VerboseLevel().load(std::memory_order_relaxed) < level) return;
  Write('I', nullptr, message, where);
}

}  // namespace tepal::telemetry
