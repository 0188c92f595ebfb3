// What a container runs, as far as it can be told from its manifest.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/diagnosis/tree.h"

namespace tepal::diagnosis {

struct RunWord {
  std::string text;
  int line = 0;
};

struct ContainerRun {
  std::vector<RunWord> words;  // command and args, one behind the other.
  bool shell = false;          // sh -c …
  RunWord script;              // What the shell is given.
};

ContainerRun RunOf(const YamlNode& container);

// The words of a shell script; quotes are kept, operators (; && || & |) are words of their own.
std::vector<std::string> ShellWords(std::string_view script);

// Of the words, or of the shell's script: the value of --name=value or --name value; null when the
// flag is not there.
struct FlagUse {
  std::string value;
  int line = 0;
};
std::vector<FlagUse> FlagsNamed(const ContainerRun& run, std::string_view name);

// Whether it is an inference server that loads models.
bool ServesModels(const YamlNode& container);

}  // namespace tepal::diagnosis
