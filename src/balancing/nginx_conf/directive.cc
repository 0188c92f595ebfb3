#include "balancing/nginx_conf/directive.h"

#include <utility>

#include "core/base/text.h"

namespace tepal::nginx_conf {

namespace {

class Parser {
 public:
  Parser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  // Up to the end of the text, or of the block when `depth` is above 0.
  Status ReadBlock(std::vector<Directive>& into, int depth, int opened_at);

 private:
  enum class Kind { kWord, kSemicolon, kOpen, kClose, kEnd };

  Status Next(Kind& kind);
  void SkipBlanks();
  Status ReadQuoted(char quote);
  void ReadPlain();
  void AppendEscaped();
  Status ReadDirective(Directive& directive, int depth);
  Status Error(int line, std::string_view what) const {
    return InvalidArgument(Concat(file_, ":", line, ": ", what));
  }
  bool AtEnd() const { return at_ >= text_.size(); }

  const std::string_view text_;
  const std::string& file_;
  size_t at_ = 0;
  int line_ = 1;
  size_t directives_ = 0;
  std::string word_;   // With Kind::kWord.
  int word_line_ = 1;  // Where the last token began.
};

void Parser::SkipBlanks() {
  for (bool comment = false; !AtEnd(); ++at_) {
    const char c = text_[at_];
    if (c == '\n') {
      ++line_;
      comment = false;
    } else if (c == '#') {
      comment = true;
    } else if (!comment && c != ' ' && c != '\t' && c != '\r') {
      return;
    }
  }
}

// A backslash keeps the next byte from ending the word, and stays unless the two mean one byte.
void Parser::AppendEscaped() {
  if (++at_ >= text_.size()) {
    word_ += '\\';
    return;
  }
  const char next = text_[at_++];
  if (next == '\n') ++line_;
  constexpr std::string_view kFrom = "trn\"'\\";
  constexpr std::string_view kTo = "\t\r\n\"'\\";
  const size_t which = kFrom.find(next);
  if (which != std::string_view::npos) {
    word_ += kTo[which];
    return;
  }
  word_ += '\\';
  word_ += next;
}

Status Parser::ReadQuoted(char quote) {
  ++at_;
  while (!AtEnd() && text_[at_] != quote) {
    if (text_[at_] == '\\') {
      AppendEscaped();
      continue;
    }
    if (text_[at_] == '\n') ++line_;
    word_ += text_[at_++];
  }
  if (AtEnd()) return Error(word_line_, Concat("the quote ", quote, " is not closed"));
  ++at_;
  return {};
}

void Parser::ReadPlain() {
  while (!AtEnd()) {
    const char c = text_[at_];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';') return;
    if (c == '{' && !word_.ends_with('$')) return;
    if (c == '\\') {
      AppendEscaped();
      continue;
    }
    word_ += text_[at_++];
    if (c != '{') continue;
    // A variable in braces, "${name}", belongs to the word.
    while (!AtEnd() && text_[at_] != '}' && text_[at_] != '\n') word_ += text_[at_++];
    if (!AtEnd() && text_[at_] == '}') word_ += text_[at_++];
  }
}

Status Parser::Next(Kind& kind) {
  SkipBlanks();
  word_.clear();
  word_line_ = line_;
  kind = Kind::kEnd;
  if (AtEnd()) return {};
  const char c = text_[at_];
  if (c == ';' || c == '{' || c == '}') {
    ++at_;
    kind = c == ';' ? Kind::kSemicolon : c == '{' ? Kind::kOpen : Kind::kClose;
    return {};
  }
  kind = Kind::kWord;
  if (c == '"' || c == '\'') return ReadQuoted(c);
  ReadPlain();
  return {};
}

// The name has been read.
Status Parser::ReadDirective(Directive& directive, int depth) {
  directive.name = word_;
  directive.line = word_line_;
  for (;;) {
    Kind kind;
    RETURN_IF_ERROR(Next(kind));
    switch (kind) {
      case Kind::kWord:
        if (directive.words.size() >= kWordsMax) {
          return Error(word_line_,
                       Concat("'", directive.name, "' has more than ", kWordsMax, " parameters"));
        }
        directive.words.push_back(word_);
        break;
      case Kind::kSemicolon:
        return {};
      case Kind::kOpen:
        directive.has_block = true;
        return ReadBlock(directive.block, depth + 1, directive.line);
      case Kind::kClose:
        return Error(word_line_, Concat("'}' where '", directive.name, "' (line ", directive.line,
                                        ") needs ';'"));
      case Kind::kEnd:
        return Error(directive.line, Concat("'", directive.name, "' has no ';' at its end"));
    }
  }
}

Status Parser::ReadBlock(std::vector<Directive>& into, int depth, int opened_at) {
  if (depth > kDepthMax) {
    return Error(opened_at, Concat("blocks are nested more than ", kDepthMax, " deep"));
  }
  for (;;) {
    Kind kind;
    RETURN_IF_ERROR(Next(kind));
    switch (kind) {
      case Kind::kEnd:
        if (depth == 0) return {};
        return Error(opened_at, "the block that begins here is not closed with '}'");
      case Kind::kClose:
        if (depth > 0) return {};
        return Error(word_line_, "'}' closes nothing");
      case Kind::kSemicolon:
        return Error(word_line_, "';' ends nothing");
      case Kind::kOpen:
        return Error(word_line_, "'{' has no name before it");
      case Kind::kWord:
        if (++directives_ > kDirectivesMax) {
          return Error(word_line_, Concat("more than ", kDirectivesMax, " directives"));
        }
        into.emplace_back();
        RETURN_IF_ERROR(ReadDirective(into.back(), depth));
    }
  }
}

}  // namespace

Result<std::vector<Directive>> ParseDirectives(std::string_view text, const std::string& file) {
  if (text.size() > kBytesMax) {
    return InvalidArgument(Concat(file, ": ", text.size(), " bytes, expected at most ", kBytesMax));
  }
  std::vector<Directive> directives;
  RETURN_IF_ERROR(Parser(text, file).ReadBlock(directives, 0, 1));
  return directives;
}

}  // namespace tepal::nginx_conf
