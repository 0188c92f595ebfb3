// What the readers of all blocks share: errors and notes as they come, and the words for them.

#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "balancing/nginx_conf/directive.h"
#include "balancing/nginx_conf/reading.h"
#include "balancing/nginx_conf/values.h"
#include "core/base/text.h"

namespace tepal::nginx_conf {

class Context {
 public:
  explicit Context(std::string file) : file_(std::move(file)) {}

  void NotHonoured(const Directive& directive, std::string_view why) {
    NotHonoured(directive.line, directive.name, why);
  }
  void NotHonoured(int line, std::string_view what, std::string_view why) {
    notes_.insert({line, {line, Note::Kind::kNotHonoured, Concat(what, " (", why, ")")}});
  }
  void Differs(int line, std::string text) {
    notes_.insert({line, {line, Note::Kind::kDiffers, std::move(text)}});
  }
  void Fault(int line, std::string text) {
    notes_.insert({line, {line, Note::Kind::kFault, std::move(text)}});
  }
  void Error(int line, std::string_view what) {
    errors_.insert({line, Concat(file_, ":", line, ": ", what)});
  }
  void Error(const Directive& directive, std::string_view got, std::string_view expected) {
    Error(directive.line, Concat("'", directive.name, "': got '", got, "', expected ", expected));
  }

  // The one word of a directive; an error and empty when there is another number of them.
  std::optional<std::string_view> OneWord(const Directive& directive, std::string_view expected) {
    if (directive.words.size() == 1) return directive.words.front();
    Error(directive.line, Concat("'", directive.name, "': got ", directive.words.size(),
                                 " parameters, expected one: ", expected));
    return std::nullopt;
  }
  std::optional<Duration> Time(const Directive& directive, std::string_view text) {
    const auto time = ParseTime(text);
    if (!time) Error(directive, text, "a time, as 500ms, 5s or 1m");
    return time;
  }
  std::optional<uint64_t> Size(const Directive& directive, std::string_view text) {
    const auto size = ParseSize(text);
    if (!size) Error(directive, text, "a size, as 4096, 64k or 1m");
    return size;
  }
  std::optional<uint32_t> Count(const Directive& directive, std::string_view text, uint32_t min) {
    const auto count = ParseNumber<uint32_t>(text);
    if (count && *count >= min && *count <= 1'000'000) return count;
    Error(directive, text, Concat("a whole number from ", min, " to 1000000"));
    return std::nullopt;
  }

  const std::string& file() const { return file_; }
  const std::multimap<int, std::string>& errors() const { return errors_; }
  std::vector<Note> TakeNotes() {
    std::vector<Note> notes;
    for (auto& entry : notes_) {
      // What stands outside of the servers is read for each of them.
      const bool again = std::any_of(notes.begin(), notes.end(), [&](const Note& other) {
        return other.line == entry.first && other.text == entry.second.text;
      });
      if (!again) notes.push_back(std::move(entry.second));
    }
    return notes;
  }

 private:
  const std::string file_;
  std::multimap<int, Note> notes_;
  std::multimap<int, std::string> errors_;
};

}  // namespace tepal::nginx_conf
