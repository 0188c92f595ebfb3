// Inside of rules_template: the tree that is parsed and run.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scaling/custom_metrics/rules_template.h"

namespace tepal::custom_metrics {

struct TemplatePipe;

// One operand: a start and the fields that follow it (".A.b", "$x.b", "(index .M).b").
struct TemplateTerm {
  enum class Kind { kDot, kVariable, kFunction, kConstant, kPipe };
  Kind kind = Kind::kDot;
  size_t at = 0;                    // Byte in the template, from 0.
  std::string name;                 // Of a variable ("" is $) or a function.
  TemplateValue constant;           // kConstant.
  std::vector<TemplatePipe> pipe;   // kPipe: exactly one.
  std::vector<std::string> fields;  // In order.
};

// A function with its arguments, or a value alone.
struct TemplateCommand {
  std::vector<TemplateTerm> terms;
};

// Each command's result is the last argument of the next.
struct TemplatePipe {
  size_t at = 0;
  std::vector<std::string> variables;  // Declared or set: at most two, for range.
  bool declares = false;
  std::vector<TemplateCommand> commands;
};

struct RulesTemplate::Node {
  enum class Kind { kText, kValue, kIf, kWith, kRange };
  Kind kind = Kind::kText;
  std::string text;
  TemplatePipe pipe;
  std::vector<Node> body;
  std::vector<Node> otherwise;
};

Status TemplateError(size_t at, std::string_view what);

}  // namespace tepal::custom_metrics
