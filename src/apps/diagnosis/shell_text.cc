#include "apps/diagnosis/shell_text.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

std::string_view ProgramName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool IsShell(std::string_view path) {
  const std::string_view name = ProgramName(path);
  return name == "sh" || name == "bash" || name == "ash" || name == "dash";
}

}  // namespace

ContainerRun RunOf(const YamlNode& container) {
  ContainerRun run;
  for (const char* const field : {"command", "args"}) {
    for (const YamlNode& word : ListAt(&container, field)) {
      run.words.push_back({word.scalar, word.line});
    }
  }
  if (run.words.size() < 3 || !IsShell(run.words[0].text)) return run;
  for (size_t i = 1; i + 1 < run.words.size(); ++i) {
    if (!run.words[i].text.starts_with("-") || run.words[i].text.find('c') == std::string::npos) {
      continue;
    }
    size_t script = i + 1;
    if (run.words[script].text == "--" && script + 1 < run.words.size()) ++script;
    run.shell = true;
    run.script = run.words[script];
    break;
  }
  return run;
}

std::vector<std::string> ShellWords(std::string_view script) {
  std::vector<std::string> words(1);
  char quote = 0;
  const auto end_word = [&words] {
    if (!words.back().empty()) words.emplace_back();
  };
  for (size_t i = 0; i < script.size(); ++i) {
    const char c = script[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
      words.back() += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      words.back() += c;
    } else if (c == ' ' || c == '\t') {
      end_word();
    } else if (c == ';' || c == '&' || c == '|' || c == '\n') {
      end_word();
      words.back() += c == '\n' ? ';' : c;
      if (c != '\n' && i + 1 < script.size() && script[i + 1] == c) words.back() += script[++i];
      end_word();
    } else {
      words.back() += c;
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

std::vector<FlagUse> FlagsNamed(const ContainerRun& run, std::string_view name) {
  std::vector<RunWord> words;
  if (run.shell) {
    for (std::string& word : ShellWords(run.script.text)) {
      words.push_back({std::move(word), run.script.line});
    }
  } else {
    words = run.words;
  }
  const std::string flag = Concat("--", name);
  std::vector<FlagUse> uses;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i].text;
    if (word.starts_with(flag + "=")) {
      uses.push_back({word.substr(flag.size() + 1), words[i].line});
    } else if (word == flag) {
      const bool has_value = i + 1 < words.size() && !words[i + 1].text.starts_with("-");
      uses.push_back({has_value ? words[i + 1].text : std::string(), words[i].line});
    }
  }
  return uses;
}

bool ServesModels(const YamlNode& container) {
  const ContainerRun run = RunOf(container);
  return !FlagsNamed(run, "model-repository").empty() ||
         TextAt(&container, "image").find("tritonserver") != std::string_view::npos;
}

}  // namespace tepal::diagnosis
