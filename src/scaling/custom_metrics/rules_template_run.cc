// Runs the tree of rules_template.cc.

#include <algorithm>

#include "core/base/text.h"
#include "scaling/custom_metrics/rules_template_tree.h"

namespace tepal::custom_metrics {
namespace {

using Node = RulesTemplate::Node;

bool Truth(const TemplateValue& value) {
  return std::visit(
      [](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, bool>) {
          return held;
        } else if constexpr (std::is_same_v<Held, int64_t>) {
          return held != 0;
        } else {
          return !held.empty();
        }
      },
      value);
}

// As Go's fmt prints it.
std::string Printed(const TemplateValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<int64_t>(&value)) return Concat(*number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  std::string out;
  if (const auto* list = std::get_if<TemplateList>(&value)) {
    for (const std::string& one : *list) out += Concat(out.empty() ? "" : " ", one);
    return Concat("[", out, "]");
  }
  for (const auto& [key, held] : std::get<TemplateMap>(value)) {
    out += Concat(out.empty() ? "" : " ", key, ":", held);
  }
  return Concat("map[", out, "]");
}

class Runner {
 public:
  explicit Runner(const TemplateFields& fields) : fields_(fields) {}

  // `dot` null: the top.
  Status Run(const std::vector<Node>& nodes, const TemplateValue* dot) {
    const size_t variables = variables_.size();
    for (const Node& node : nodes) {
      RETURN_IF_ERROR(Step(node.pipe.at));
      RETURN_IF_ERROR(RunOne(node, dot));
      if (out_.size() > kTemplateOutputMax) return TemplateError(node.pipe.at, "too long a result");
    }
    variables_.resize(variables);
    return {};
  }

  std::string Take() { return std::move(out_); }

 private:
  struct Variable {
    std::string name;
    TemplateValue value;
  };

  Status Step(size_t at) {
    return ++steps_ > kTemplateStepsMax ? TemplateError(at, "too many steps") : Status();
  }

  Status RunOne(const Node& node, const TemplateValue* dot) {
    if (node.kind == Node::Kind::kText) {
      out_ += node.text;
      return {};
    }
    const size_t variables = variables_.size();
    ASSIGN_OR_RETURN(const TemplateValue value, ValueOf(node.pipe, dot));
    switch (node.kind) {
      case Node::Kind::kText:
        return {};
      case Node::Kind::kValue:
        if (node.pipe.variables.empty()) {
          out_ += Printed(value);
        } else {
          RETURN_IF_ERROR(Assign(node.pipe, value));
        }
        return {};
      case Node::Kind::kIf:
      case Node::Kind::kWith: {
        if (!node.pipe.variables.empty()) RETURN_IF_ERROR(Assign(node.pipe, value));
        const bool yes = Truth(value);
        const bool moves = yes && node.kind == Node::Kind::kWith;
        RETURN_IF_ERROR(Run(yes ? node.body : node.otherwise, moves ? &value : dot));
        break;
      }
      case Node::Kind::kRange:
        RETURN_IF_ERROR(Range(node, value, dot));
        break;
    }
    variables_.resize(variables);
    return {};
  }

  Status Range(const Node& node, const TemplateValue& value, const TemplateValue* dot) {
    std::vector<std::pair<TemplateValue, TemplateValue>> pairs;
    if (const auto* list = std::get_if<TemplateList>(&value)) {
      for (size_t i = 0; i < list->size(); ++i)
        pairs.emplace_back(static_cast<int64_t>(i), (*list)[i]);
    } else if (const auto* map = std::get_if<TemplateMap>(&value)) {
      for (const auto& [key, held] : *map) pairs.emplace_back(key, held);
    } else {
      return TemplateError(node.pipe.at, "range over what is neither a list nor a map");
    }
    if (pairs.empty()) return Run(node.otherwise, dot);
    for (const auto& [key, held] : pairs) {
      RETURN_IF_ERROR(Step(node.pipe.at));
      const size_t variables = variables_.size();
      const std::vector<std::string>& names = node.pipe.variables;
      if (!node.pipe.declares) {
        if (names.size() == 2) RETURN_IF_ERROR(Set(names[0], key, node.pipe.at));
        if (!names.empty()) RETURN_IF_ERROR(Set(names.back(), held, node.pipe.at));
      } else {
        if (names.size() == 2) variables_.push_back({names[0], key});
        variables_.push_back({names.back(), held});
      }
      RETURN_IF_ERROR(Run(node.body, &held));
      variables_.resize(variables);
    }
    return {};
  }

  Status Assign(const TemplatePipe& pipe, const TemplateValue& value) {
    if (!pipe.declares) return Set(pipe.variables.front(), value, pipe.at);
    variables_.push_back({pipe.variables.front(), value});
    return {};
  }

  Status Set(const std::string& name, const TemplateValue& value, size_t at) {
    Variable* variable = Find(name);
    if (variable == nullptr) return TemplateError(at, Concat("undefined variable '$", name, "'"));
    variable->value = value;
    return {};
  }

  Variable* Find(const std::string& name) {
    const auto found = std::find_if(variables_.rbegin(), variables_.rend(),
                                    [&](const Variable& one) { return one.name == name; });
    return found == variables_.rend() ? nullptr : &*found;
  }

  Result<TemplateValue> ValueOf(const TemplatePipe& pipe, const TemplateValue* dot) {
    std::optional<TemplateValue> last;
    for (const TemplateCommand& command : pipe.commands) {
      ASSIGN_OR_RETURN(last, ValueOf(command, dot, std::move(last)));
    }
    return *std::move(last);
  }

  Result<TemplateValue> ValueOf(const TemplateCommand& command, const TemplateValue* dot,
                                std::optional<TemplateValue> piped) {
    const TemplateTerm& first = command.terms.front();
    RETURN_IF_ERROR(Step(first.at));
    if (first.kind != TemplateTerm::Kind::kFunction) return ValueOf(first, dot);
    std::vector<TemplateValue> arguments;
    for (size_t i = 1; i < command.terms.size(); ++i) {
      ASSIGN_OR_RETURN(arguments.emplace_back(), ValueOf(command.terms[i], dot));
    }
    if (piped.has_value()) arguments.push_back(*std::move(piped));
    return Call(first, arguments);
  }

  Result<TemplateValue> ValueOf(const TemplateTerm& term, const TemplateValue* dot) {
    RETURN_IF_ERROR(Step(term.at));
    switch (term.kind) {
      case TemplateTerm::Kind::kConstant:
        return Field(term, term.constant, 0);
      case TemplateTerm::Kind::kFunction: {
        if (!term.fields.empty()) return TemplateError(term.at, "a field of a function");
        const std::vector<TemplateValue> none;
        return Call(term, none);
      }
      case TemplateTerm::Kind::kPipe: {
        ASSIGN_OR_RETURN(TemplateValue value, ValueOf(term.pipe.front(), dot));
        return Field(term, std::move(value), 0);
      }
      case TemplateTerm::Kind::kVariable:
        if (term.name.empty()) return OfTop(term);
        if (const Variable* variable = Find(term.name)) return Field(term, variable->value, 0);
        return TemplateError(term.at, Concat("undefined variable '$", term.name, "'"));
      case TemplateTerm::Kind::kDot:
        return dot == nullptr ? OfTop(term) : Field(term, *dot, 0);
    }
    return TemplateError(term.at, "no value");
  }

  Result<TemplateValue> OfTop(const TemplateTerm& term) {
    if (term.fields.empty()) return TemplateError(term.at, "the whole of the top is no value");
    const auto found = fields_.find(term.fields.front());
    if (found == fields_.end()) {
      return TemplateError(term.at, Concat("there is no field '.", term.fields.front(), "'"));
    }
    return Field(term, found->second, 1);
  }

  // The fields of `term` from `begin` on; an absent key of a map is "<no value>", as in Go.
  static Result<TemplateValue> Field(const TemplateTerm& term, TemplateValue value, size_t begin) {
    for (size_t i = begin; i < term.fields.size(); ++i) {
      const auto* map = std::get_if<TemplateMap>(&value);
      if (map == nullptr) {
        return TemplateError(term.at,
                             Concat("field '.", term.fields[i], "' of what has no fields"));
      }
      const auto found = map->find(term.fields[i]);
      value = TemplateValue(found == map->end() ? std::string("<no value>") : found->second);
    }
    return value;
  }

  Result<TemplateValue> Call(const TemplateTerm& function,
                             const std::vector<TemplateValue>& arguments) {
    const std::string& name = function.name;
    const auto wrong = [&](std::string_view expected) -> Status {
      return TemplateError(function.at, Concat("'", name, "': got ", arguments.size(),
                                               " arguments, expected ", expected));
    };
    if (name == "print") {
      std::string out;
      for (size_t i = 0; i < arguments.size(); ++i) {
        // Go puts a space between two that are both no text.
        if (i > 0 && !std::holds_alternative<std::string>(arguments[i]) &&
            !std::holds_alternative<std::string>(arguments[i - 1])) {
          out.push_back(' ');
        }
        out += Printed(arguments[i]);
      }
      return TemplateValue(std::move(out));
    }
    if (arguments.empty()) return wrong("at least one");
    if (name == "and" || name == "or") {
      const bool stop_at = name == "or";
      for (const TemplateValue& one : arguments) {
        if (Truth(one) == stop_at) return one;
      }
      return arguments.back();
    }
    if (name == "not" || name == "len") {
      if (arguments.size() != 1) return wrong("one");
      if (name == "not") return TemplateValue(!Truth(arguments[0]));
      return Length(function, arguments[0]);
    }
    if (name == "index") return Index(function, arguments);
    if (arguments.size() < 2) return wrong("at least two");
    if (name == "ne" && arguments.size() != 2) return wrong("two");
    for (size_t i = 1; i < arguments.size(); ++i) {
      if (arguments[i].index() != arguments[0].index() || arguments[0].index() > 2) {
        return TemplateError(function.at,
                             Concat("'", name, "': got values that cannot be compared"));
      }
    }
    const bool equal =
        std::find(arguments.begin() + 1, arguments.end(), arguments[0]) != arguments.end();
    return TemplateValue(equal == (name == "eq"));
  }

  static Result<TemplateValue> Length(const TemplateTerm& function, const TemplateValue& of) {
    if (const auto* text = std::get_if<std::string>(&of)) {
      return TemplateValue(static_cast<int64_t>(text->size()));
    }
    if (const auto* list = std::get_if<TemplateList>(&of)) {
      return TemplateValue(static_cast<int64_t>(list->size()));
    }
    if (const auto* map = std::get_if<TemplateMap>(&of)) {
      return TemplateValue(static_cast<int64_t>(map->size()));
    }
    return TemplateError(function.at, "'len' of what has no length");
  }

  static Result<TemplateValue> Index(const TemplateTerm& function,
                                     const std::vector<TemplateValue>& arguments) {
    if (arguments.size() == 1) return arguments[0];
    if (arguments.size() > 2) {
      return TemplateError(function.at, "'index': got more than one index, expected one");
    }
    if (const auto* map = std::get_if<TemplateMap>(&arguments[0])) {
      const auto* key = std::get_if<std::string>(&arguments[1]);
      if (key == nullptr) return TemplateError(function.at, "'index' of a map needs a text");
      const auto found = map->find(*key);
      return TemplateValue(found == map->end() ? std::string() : found->second);
    }
    const auto* list = std::get_if<TemplateList>(&arguments[0]);
    const auto* which = std::get_if<int64_t>(&arguments[1]);
    if (list == nullptr || which == nullptr) {
      return TemplateError(function.at, "'index' needs a map and a text, or a list and a number");
    }
    if (*which < 0 || static_cast<uint64_t>(*which) >= list->size()) {
      return TemplateError(function.at,
                           Concat("'index': got ", *which, ", expected less than ", list->size()));
    }
    return TemplateValue((*list)[static_cast<size_t>(*which)]);
  }

  const TemplateFields& fields_;
  std::vector<Variable> variables_;
  std::string out_;
  int steps_ = 0;
};

}  // namespace

Result<std::string> RulesTemplate::Execute(const TemplateFields& fields) const {
  Runner runner(fields);
  RETURN_IF_ERROR(runner.Run(*nodes_, nullptr));
  return runner.Take();
}

}  // namespace tepal::custom_metrics
