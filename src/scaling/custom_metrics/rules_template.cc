// Text into the tree; running it is rules_template_run.cc.

#include "scaling/custom_metrics/rules_template.h"

#include <algorithm>

#include "core/base/text.h"
#include "scaling/custom_metrics/rules_template_tree.h"

namespace tepal::custom_metrics {
namespace {

using Node = RulesTemplate::Node;

constexpr std::string_view kFunctions[] = {"and", "eq", "index", "len", "ne", "not", "or", "print"};
constexpr std::string_view kLeft = "<<";
constexpr std::string_view kRight = ">>";

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool IsWordByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

class Parser {
 public:
  Parser(std::string_view text, std::span<const std::string_view> fields)
      : text_(text), fields_(fields) {}

  Result<std::vector<Node>> Parse() {
    std::vector<Node> nodes;
    ASSIGN_OR_RETURN(const std::string end, ParseList(nodes, 0, true));
    if (!end.empty()) return TemplateError(word_at_, Concat("unexpected '", end, "'"));
    return nodes;
  }

 private:
  // Up to the end of the text (answer "") or to an action "end" or "else", which has been read up
  // to behind its word. `top`: the dot is the one whose fields are known.
  Result<std::string> ParseList(std::vector<Node>& nodes, int depth, bool top) {
    if (depth > kTemplateDepthMax) return TemplateError(at_, "too deeply nested");
    while (true) {
      ParseText(nodes);
      if (at_ == text_.size()) return std::string();
      const size_t opened_at = at_;
      at_ += kLeft.size();
      if (text_.substr(at_).starts_with("-") && at_ + 1 < text_.size() && IsSpace(text_[at_ + 1])) {
        ++at_;
      }
      SkipSpaces();
      if (text_.substr(at_).starts_with("/*")) {
        RETURN_IF_ERROR(SkipComment(opened_at));
        continue;
      }
      word_at_ = at_;
      const std::string word = PeekWord();
      if (word == "end" || word == "else") {
        at_ += word.size();
        return word;
      }
      Node node;
      if (word == "if" || word == "with" || word == "range") {
        at_ += word.size();
        RETURN_IF_ERROR(ParseBlock(word, node, depth, top));
      } else if (word == "break" || word == "continue" || word == "block" || word == "define" ||
                 word == "template") {
        return TemplateError(at_, Concat("'", word, "' is not supported"));
      } else {
        node.kind = Node::Kind::kValue;
        RETURN_IF_ERROR(ParsePipe(node.pipe, depth, top));
        RETURN_IF_ERROR(Close());
      }
      nodes.push_back(std::move(node));
    }
  }

  void ParseText(std::vector<Node>& nodes) {
    const size_t end = std::min(text_.find(kLeft, at_), text_.size());
    std::string_view piece = text_.substr(at_, end - at_);
    if (trim_next_) {
      while (!piece.empty() && IsSpace(piece.front())) piece.remove_prefix(1);
      trim_next_ = false;
    }
    const std::string_view after = text_.substr(end);
    if (after.size() > 3 && after[2] == '-' && IsSpace(after[3])) {
      while (!piece.empty() && IsSpace(piece.back())) piece.remove_suffix(1);
    }
    if (!piece.empty()) {
      Node node;
      node.text = piece;
      nodes.push_back(std::move(node));
    }
    at_ = end;
  }

  Status ParseBlock(const std::string& word, Node& node, int depth, bool top) {
    node.kind = word == "if"     ? Node::Kind::kIf
                : word == "with" ? Node::Kind::kWith
                                 : Node::Kind::kRange;
    const size_t begun_at = word_at_;
    const size_t variables = variables_.size();
    RETURN_IF_ERROR(ParsePipe(node.pipe, depth, top, node.kind == Node::Kind::kRange));
    RETURN_IF_ERROR(Close());
    const bool same_dot = top && node.kind == Node::Kind::kIf;
    ASSIGN_OR_RETURN(std::string end, ParseList(node.body, depth + 1, same_dot));
    if (end == "else") {
      SkipSpaces();
      word_at_ = at_;
      const std::string next = PeekWord();
      if (next == "if" && node.kind == Node::Kind::kIf) {
        // The "end" of this one ends both.
        at_ += next.size();
        Node nested;
        if (depth + 1 > kTemplateDepthMax) return TemplateError(at_, "too deeply nested");
        RETURN_IF_ERROR(ParseBlock(next, nested, depth + 1, top));
        node.otherwise.push_back(std::move(nested));
        variables_.resize(variables);
        return {};
      }
      RETURN_IF_ERROR(Close());
      ASSIGN_OR_RETURN(end, ParseList(node.otherwise, depth + 1, top));
      if (end == "else") return TemplateError(word_at_, "a second 'else'");
    }
    if (end != "end") return TemplateError(begun_at, Concat("'", word, "' has no 'end'"));
    variables_.resize(variables);
    return Close();
  }

  Status ParsePipe(TemplatePipe& pipe, int depth, bool top, bool range = false) {
    if (depth > kTemplateDepthMax) return TemplateError(at_, "too deeply nested");
    SkipSpaces();
    pipe.at = at_;
    RETURN_IF_ERROR(ParseVariables(pipe, range));
    while (true) {
      TemplateCommand command;
      RETURN_IF_ERROR(ParseCommand(command, depth, top, !pipe.commands.empty()));
      pipe.commands.push_back(std::move(command));
      SkipSpaces();
      if (!Take("|")) break;
    }
    // Known from here on: what stands before it cannot use it.
    if (pipe.declares) {
      variables_.insert(variables_.end(), pipe.variables.begin(), pipe.variables.end());
    }
    return {};
  }

  // "$x :=", "$k, $v :=" or "$x =", if that is what comes.
  Status ParseVariables(TemplatePipe& pipe, bool range) {
    const size_t begin = at_;
    std::vector<std::string> names;
    while (Take("$")) {
      names.push_back(TakeWord());
      SkipSpaces();
      if (!Take(",")) break;
      SkipSpaces();
    }
    const bool declares = Take(":=");
    const bool sets = !declares && !names.empty() && Take("=");
    if (!declares && !sets) {
      at_ = begin;
      return {};
    }
    const auto nameless = [](const std::string& name) { return name.empty(); };
    if (std::any_of(names.begin(), names.end(), nameless) || names.empty()) {
      return TemplateError(begin, "got a nameless variable, expected $name");
    }
    if (names.size() > (range ? 2u : 1u)) return TemplateError(begin, "too many variables");
    for (const std::string& name : names) {
      if (sets) RETURN_IF_ERROR(CheckVariable(name, begin));
    }
    pipe.variables = std::move(names);
    pipe.declares = declares;
    return {};
  }

  Status ParseCommand(TemplateCommand& command, int depth, bool top, bool piped) {
    while (true) {
      SkipSpaces();
      const std::string_view rest = text_.substr(at_);
      if (rest.empty() || rest.front() == '|' || rest.front() == ')' || AtClose()) break;
      TemplateTerm term;
      RETURN_IF_ERROR(ParseTerm(term, depth, top));
      command.terms.push_back(std::move(term));
    }
    if (command.terms.empty()) return TemplateError(at_, "got nothing, expected a value");
    const TemplateTerm& first = command.terms.front();
    if (first.kind != TemplateTerm::Kind::kFunction && (command.terms.size() > 1 || piped)) {
      return TemplateError(first.at, "got arguments for what is no function");
    }
    return {};
  }

  Status ParseTerm(TemplateTerm& term, int depth, bool top) {
    term.at = at_;
    const char c = text_[at_];
    if (c == '"' || c == '`') {
      term.kind = TemplateTerm::Kind::kConstant;
      RETURN_IF_ERROR(ParseString(c, term.constant));
    } else if ((c >= '0' && c <= '9') || c == '-' || c == '+') {
      term.kind = TemplateTerm::Kind::kConstant;
      RETURN_IF_ERROR(ParseInteger(term.constant));
    } else if (c == '(') {
      ++at_;
      term.kind = TemplateTerm::Kind::kPipe;
      RETURN_IF_ERROR(ParsePipe(term.pipe.emplace_back(), depth + 1, top));
      if (term.pipe.front().declares) return TemplateError(term.at, "a variable within ( )");
      if (!Take(")")) return TemplateError(term.at, "'(' is not closed");
    } else if (c == '$') {
      ++at_;
      term.kind = TemplateTerm::Kind::kVariable;
      term.name = TakeWord();
      if (!term.name.empty()) RETURN_IF_ERROR(CheckVariable(term.name, term.at));
    } else if (c != '.') {
      RETURN_IF_ERROR(ParseName(term));
    } else if (at_ + 1 >= text_.size() || !IsWordByte(text_[at_ + 1])) {
      ++at_;
      return {};  // The dot alone.
    }
    while (at_ + 1 < text_.size() && text_[at_] == '.' && IsWordByte(text_[at_ + 1])) {
      ++at_;
      term.fields.push_back(TakeWord());
    }
    return CheckFields(term, top);
  }

  // A field of the top is known now; one of a map only when it runs.
  Status CheckFields(const TemplateTerm& term, bool top) const {
    const bool of_top = (term.kind == TemplateTerm::Kind::kDot && top) ||
                        (term.kind == TemplateTerm::Kind::kVariable && term.name.empty());
    if (!of_top || term.fields.empty()) return {};
    if (std::find(fields_.begin(), fields_.end(), term.fields.front()) != fields_.end()) return {};
    std::string known;
    for (const std::string_view field : fields_)
      known += Concat(known.empty() ? "." : ", .", field);
    return TemplateError(term.at,
                         Concat("got field '.", term.fields.front(), "', expected one of ", known));
  }

  Status ParseName(TemplateTerm& term) {
    const std::string word = TakeWord();
    if (word.empty()) {
      return TemplateError(at_, Concat("got '", text_.substr(at_, 1), "', expected a value"));
    }
    if (word == "true" || word == "false") {
      term.kind = TemplateTerm::Kind::kConstant;
      term.constant = word == "true";
      return {};
    }
    if (std::find(std::begin(kFunctions), std::end(kFunctions), word) == std::end(kFunctions)) {
      std::string known;
      for (const std::string_view name : kFunctions) {
        known += Concat(known.empty() ? "" : ", ", name);
      }
      return TemplateError(term.at,
                           Concat("function '", word, "' is not supported; supported are ", known));
    }
    term.kind = TemplateTerm::Kind::kFunction;
    term.name = word;
    return {};
  }

  Status ParseString(char quote, TemplateValue& value) {
    const size_t begin = at_++;
    std::string out;
    while (at_ < text_.size() && text_[at_] != quote) {
      char c = text_[at_++];
      if (c == '\\' && quote == '"') {
        c = at_ < text_.size() ? text_[at_++] : '\\';
        constexpr std::string_view kNames = "nrt\\\"'";
        constexpr std::string_view kBytes = "\n\r\t\\\"'";
        const size_t which = kNames.find(c);
        if (which == std::string_view::npos) {
          return TemplateError(at_ - 2, Concat("escape '\\", c, "' is not supported"));
        }
        c = kBytes[which];
      } else if (c == '\n' && quote == '"') {
        return TemplateError(begin, "a string with a line's end in it");
      }
      out.push_back(c);
    }
    if (at_ == text_.size()) return TemplateError(begin, "a string is not closed");
    ++at_;
    value = std::move(out);
    return {};
  }

  Status ParseInteger(TemplateValue& value) {
    const size_t begin = at_;
    if (text_[at_] == '-' || text_[at_] == '+') ++at_;
    while (at_ < text_.size() && (IsWordByte(text_[at_]) || text_[at_] == '.')) ++at_;
    std::string_view word = text_.substr(begin, at_ - begin);
    if (word.starts_with('+')) word.remove_prefix(1);
    const auto number = ParseNumber<int64_t>(word);
    if (!number) {
      return TemplateError(begin, Concat("got '", word, "', expected a whole number"));
    }
    value = *number;
    return {};
  }

  Status CheckVariable(const std::string& name, size_t at) const {
    if (std::find(variables_.begin(), variables_.end(), name) != variables_.end()) return {};
    return TemplateError(at, Concat("undefined variable '$", name, "'"));
  }

  Status SkipComment(size_t opened_at) {
    const size_t end = text_.find("*/", at_ + 2);
    if (end == std::string_view::npos) return TemplateError(opened_at, "a comment is not closed");
    at_ = end + 2;
    return Close();
  }

  bool AtClose() const {
    const std::string_view rest = text_.substr(at_);
    return rest.starts_with(kRight) || rest.starts_with("->>");
  }

  Status Close() {
    SkipSpaces();
    if (text_.substr(at_).starts_with("->>")) {
      trim_next_ = true;
      ++at_;
    }
    if (Take(kRight)) return {};
    if (at_ == text_.size()) return TemplateError(at_, "got the end, expected '>>'");
    return TemplateError(at_, Concat("got '", text_.substr(at_, 1), "', expected '>>'"));
  }

  std::string PeekWord() const {
    size_t end = at_;
    while (end < text_.size() && IsWordByte(text_[end])) ++end;
    return std::string(text_.substr(at_, end - at_));
  }
  std::string TakeWord() {
    std::string word = PeekWord();
    at_ += word.size();
    return word;
  }
  bool Take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  void SkipSpaces() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }

  const std::string_view text_;
  const std::span<const std::string_view> fields_;
  size_t at_ = 0;
  size_t word_at_ = 0;  // Of the last keyword.
  bool trim_next_ = false;
  std::vector<std::string> variables_;  // In scope.
};

}  // namespace

Status TemplateError(size_t at, std::string_view what) {
  return InvalidArgument(Concat("template, byte ", at + 1, ": ", what));
}

Result<RulesTemplate> RulesTemplate::Parse(std::string_view text,
                                           std::span<const std::string_view> fields) {
  if (text.size() > kTemplateBytesMax) {
    return InvalidArgument(
        Concat("template: got ", text.size(), " bytes, expected at most ", kTemplateBytesMax));
  }
  ASSIGN_OR_RETURN(std::vector<Node> nodes, Parser(text, fields).Parse());
  RulesTemplate made;
  made.nodes_ = std::make_shared<const std::vector<Node>>(std::move(nodes));
  return made;
}

}  // namespace tepal::custom_metrics
