// One thing that is wrong, where, and what to do about it.

#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tepal::diagnosis {

enum class Severity {
  kNote,     // Worth knowing; nothing is wrong.
  kWarning,  // It works, but not well or not safely.
  kError,    // It does not work.
};

std::string_view SeverityName(Severity severity);  // "error"

struct Finding {
  std::string place;  // A file, or an object of a cluster: "HorizontalPodAutoscaler default/web".
  int line = 0;       // Of the file, counted from 1; 0 for what has no lines.
  Severity severity = Severity::kWarning;
  std::string code;   // For scripts, and for the annotation that accepts it: "removed-api".
  std::string fault;  // What is wrong, and what comes of it.
  std::string fix;    // What to do, in words.
};

// "flower-hpa.yml:1: error: autoscaling/v2beta1 was removed … [removed-api]\n    fix: …\n"
std::string FindingText(const Finding& finding);

// {"findings":[{"place":…,"line":…,"severity":…,"code":…,"fault":…,"fix":…}],"errors":1,…}
std::string FindingsJson(std::span<const Finding> findings);

// "2 errors, 1 warning, 0 notes"
std::string CountText(std::span<const Finding> findings);

// Errors or warnings are among them: what makes the exit code 1.
bool HasFaults(std::span<const Finding> findings);

}  // namespace tepal::diagnosis
