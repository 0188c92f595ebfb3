#include "core/options/yaml_write.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::options {
namespace {

constexpr std::string_view kHex = "0123456789ABCDEF";

// Whether it may stand without quotes and is read as the same text.
bool IsPlain(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ') return false;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@`~=<.").find(text.front()) != std::string_view::npos) {
    // "-1" and "--flag" are plain; "- a", "-" and "---" are not.
    if (text.front() != '-' && text.front() != '.') return false;
    if (text.size() == 1 || text[1] == ' ' || text.starts_with("---") || text.starts_with("...")) {
      return false;
    }
  }
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7f ||
        std::string_view("[]{},\"'").find(text[i]) != std::string_view::npos) {
      return false;
    }
    if (c == ':' && (i + 1 == text.size() || text[i + 1] == ' ')) return false;
    if (c == '#' && text[i - 1] == ' ') return false;
  }
  return true;
}

// Whether a reader takes it for a number, a boolean or nothing unless it is quoted.
bool IsAmbiguous(std::string_view text) {
  static constexpr std::string_view kWords[] = {"null", "~", "y", "n", "nan", ".nan", ".inf"};
  const auto same = [text](std::string_view word) { return EqualsIgnoreCase(text, word); };
  if (std::any_of(std::begin(kWords), std::end(kWords), same)) return true;
  if (ParseBool(text).has_value()) return true;
  return !text.empty() &&
         std::string_view("0123456789+-.").find(text.front()) != std::string_view::npos;
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// Whether it can be written with "|" so that every line stays as it is.
bool IsBlockText(std::string_view text) {
  if (text.find('\n') == std::string_view::npos || text.front() == ' ' || text.front() == '\n') {
    return false;
  }
  for (const std::string_view line : Split(text, '\n')) {
    if (line.ends_with(' ') || line.ends_with('\t') || line.starts_with('\t')) return false;
    for (const char c : line) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
    }
  }
  return !text.ends_with("\n\n");
}

class Writer {
 public:
  explicit Writer(std::span<const YamlComment> comments) : comments_(comments) {}

  std::string Write(const YamlNode& root) {
    Block(root, 0);
    while (next_ < comments_.size()) Alone(0);
    return std::move(out_);
  }

 private:
  static bool IsInline(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::kMapping) return node.members.empty();
    if (node.kind == YamlNode::Kind::kSequence) return node.elements.empty();
    return true;
  }

  void Alone(size_t indent) { out_ += std::string(indent, ' ') + comments_[next_++].text + "\n"; }

  // Comments of the lines before `line`.
  void Before(int line, size_t indent) {
    while (line > 0 && next_ < comments_.size() &&
           (comments_[next_].line < line ||
            (comments_[next_].line == line && comments_[next_].alone))) {
      Alone(indent);
    }
  }

  // The comment behind a value of this line, and the line's end.
  void EndLine(int line) {
    if (line > 0 && next_ < comments_.size() && comments_[next_].line == line &&
        !comments_[next_].alone) {
      out_ += Concat("  ", comments_[next_++].text);
    }
    out_ += "\n";
  }

  // `out_` stands at the column `indent`, where the first line belongs.
  void Block(const YamlNode& node, size_t indent, bool first_stands = false) {
    if (node.kind == YamlNode::Kind::kMapping) {
      for (const YamlMember& member : node.members) {
        if (!first_stands) {
          Before(member.node.line, indent);
          out_.append(indent, ' ');
        }
        first_stands = false;
        Member(member, indent);
      }
    } else {
      for (const YamlNode& element : node.elements) {
        if (!first_stands) {
          Before(element.line, indent);
          out_.append(indent, ' ');
        }
        first_stands = false;
        out_ += "- ";
        if (IsInline(element)) {
          Scalar(element, indent + 2);
        } else {
          Block(element, indent + 2, true);
        }
      }
    }
  }

  void Member(const YamlMember& member, size_t indent) {
    const std::string& name = member.name;
    out_ += IsPlain(name) && !IsAmbiguous(name) ? name : Quoted(name);
    out_ += ":";
    if (IsInline(member.node)) {
      if (member.node.kind != YamlNode::Kind::kNull) out_ += " ";
      return Scalar(member.node, indent + 2);
    }
    EndLine(member.node.line);
    const bool list = member.node.kind == YamlNode::Kind::kSequence;
    Block(member.node, list ? indent : indent + 2);
  }

  void Scalar(const YamlNode& node, size_t indent) {
    if (node.kind == YamlNode::Kind::kMapping) {
      out_ += "{}";
    } else if (node.kind == YamlNode::Kind::kSequence) {
      out_ += "[]";
    } else if (node.kind == YamlNode::Kind::kNull) {
      if (!out_.ends_with(':')) out_ += "null";
    } else if (IsBlockText(node.scalar)) {
      return BlockText(node, indent);
    } else if (IsPlain(node.scalar) && (!node.quoted || !IsAmbiguous(node.scalar))) {
      out_ += node.scalar;
    } else {
      out_ += Quoted(node.scalar);
    }
    EndLine(node.line);
  }

  void BlockText(const YamlNode& node, size_t indent) {
    const bool ends = node.scalar.ends_with('\n');
    out_ += ends ? "|" : "|-";
    EndLine(node.line);
    std::string_view text = node.scalar;
    if (ends) text.remove_suffix(1);
    for (const std::string_view line : Split(text, '\n')) {
      if (!line.empty()) out_.append(indent, ' ');
      out_ += Concat(line, "\n");
    }
  }

  const std::span<const YamlComment> comments_;
  size_t next_ = 0;
  std::string out_;
};

// Where a comment begins on the line; npos for none. `quote` is of a quoted text that is open.
size_t FindComment(std::string_view line, char& quote) {
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == '\\' && quote == '"') ++i;
      if (c == quote) quote = 0;
    } else if ((c == '\'' || c == '"') &&
               (i == 0 || std::string_view(" [{,:").find(line[i - 1]) != std::string_view::npos)) {
      quote = c;
    } else if (c == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
      return i;
    }
  }
  return std::string_view::npos;
}

bool BeginsBlockText(std::string_view line) {
  const std::string_view text = Trim(line);
  const size_t space = text.rfind(' ');
  const std::string_view last = space == std::string_view::npos ? text : text.substr(space + 1);
  return !last.empty() && last.size() <= 3 && (last[0] == '|' || last[0] == '>');
}

}  // namespace

std::vector<YamlComment> FindYamlComments(std::string_view text, int first_line) {
  std::vector<YamlComment> comments;
  char quote = 0;
  bool in_block = false;
  size_t block_indent = 0;  // Of the line that the block text belongs to.
  int number = first_line;
  for (const std::string_view line : Split(text, '\n')) {
    const size_t indent = line.find_first_not_of(' ');
    const bool blank = indent == std::string_view::npos;
    if (in_block && !blank && indent <= block_indent) in_block = false;
    if (!in_block && !blank) {
      const size_t at = FindComment(line, quote);
      std::string_view code = line;
      if (at != std::string_view::npos) {
        std::string_view comment = line.substr(at);
        for (size_t i = 0; i < comment.size(); ++i) {
          if (static_cast<unsigned char>(comment[i]) < 0x20 && comment[i] != '\t') {
            comment = comment.substr(0, i);
          }
        }
        comments.push_back({number, std::string(comment), at == indent});
        code = line.substr(0, at);
      }
      if (quote == 0 && BeginsBlockText(code)) {
        in_block = true;
        block_indent = indent;
        // The fields of a list's item are deeper than its dash.
        while (line.substr(block_indent).starts_with("- ")) block_indent += 2;
      }
    }
    ++number;
  }
  return comments;
}

std::string WriteYaml(const YamlNode& root, std::span<const YamlComment> comments) {
  return Writer(comments).Write(root);
}

}  // namespace tepal::options
