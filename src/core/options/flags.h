// The flags of one subcommand: parsed, checked, explained.
//
// Flags are bound to variables; a variable's value when it is added is the default that --help
// shows. `--name value` and `--name=value` mean the same; a boolean may stand alone. After `--`
// every word is positional. An unknown name, a bad value or a missing one is an error that names
// the flag, the value got and the value expected. Reads no environment and prints nothing.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/base/time.h"

namespace tepal::options {

class FlagSet {
 public:
  // `usage` as in "tepal infer [FLAGS] PHOTO...".
  FlagSet(std::string usage, std::string description);
  FlagSet(FlagSet&&) noexcept;
  ~FlagSet();

  // Heads the flags added after it.
  void Group(std::string title);

  void Add(std::string name, bool* value, std::string help);
  void Add(std::string name, int* value, std::string help);
  void Add(std::string name, uint16_t* value, std::string help);
  void Add(std::string name, uint64_t* value, std::string help);
  void Add(std::string name, double* value, std::string help);
  void Add(std::string name, std::string* value, std::string help);
  void Add(std::string name, Duration* value, std::string help);
  // May be given several times; each value is appended.
  void Add(std::string name, std::vector<std::string>* values, std::string help);

  // Anything else: `read` takes one value and says what was wrong with it ("expected ...").
  struct Custom {
    std::string placeholder = "value";
    std::string default_text;
    bool boolean = false;  // May stand alone, which means "true".
    Function<Status(std::string_view)> read;
  };
  void Add(std::string name, Custom custom, std::string help);

  // A flag of the anchor that is refused by name with a reason, unless it is given a value that
  // changes nothing.
  void Refuse(std::string name, std::string reason, std::vector<std::string> harmless_values = {},
              bool boolean = false);

  // A command line that works, shown at the end of the help with what it does.
  void Example(std::string command, std::string does);

  // Runs after all words were read, for what one flag alone cannot tell; its error is Parse's.
  void Check(Function<Status(const FlagSet&)> check);

  // The positional words. With --help among the words: help_asked() and nothing else is done.
  Result<std::vector<std::string>> Parse(std::span<const std::string_view> words);
  bool help_asked() const;
  bool given(std::string_view name) const;
  std::string Help() const;

  struct FlagFacts {
    std::string_view name;
    bool refused;
  };
  std::vector<FlagFacts> Flags() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What a subcommand does with --help and errors: prints the help to stdout and answers 0, or the
// error to stderr and answers 2; empty: go on with `positional`.
std::optional<int> ParseOrExplain(FlagSet& flags, std::span<const std::string_view> words,
                                  std::vector<std::string>& positional);

}  // namespace tepal::options
