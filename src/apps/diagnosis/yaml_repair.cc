#include "apps/diagnosis/yaml_repair.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/options/yaml.h"

namespace tepal::diagnosis {
namespace {

struct Line {
  size_t indent = 0;       // Of the first byte that is no space.
  size_t key_column = 0;   // Of the key, behind "- " if there is one.
  std::string_view key;    // Empty: no "key:" begins here.
  std::string_view value;  // What stands behind the colon, trimmed.
  bool blank = false;
  bool item = false;  // Begins with "- ".
};

Line Look(std::string_view text) {
  Line line;
  line.indent = text.find_first_not_of(' ');
  if (line.indent == std::string_view::npos || text[line.indent] == '#' ||
      text[line.indent] == '\r') {
    line.blank = true;
    line.indent = 0;
    return line;
  }
  line.key_column = line.indent;
  while (text.substr(line.key_column).starts_with("- ")) {
    line.item = true;
    line.key_column += 2;
    const size_t next = text.find_first_not_of(' ', line.key_column);
    if (next == std::string_view::npos) break;
    line.key_column = next;
  }
  const std::string_view rest = text.substr(line.key_column);
  const size_t colon = rest.find(':');
  const bool is_key =
      colon != std::string_view::npos && colon > 0 &&
      rest.substr(0, colon).find_first_of(" \"'{}[](),#&*!|>%@`") == std::string_view::npos &&
      (colon + 1 == rest.size() || rest[colon + 1] == ' ' || rest[colon + 1] == '\r');
  if (is_key) {
    line.key = rest.substr(0, colon);
    line.value = Trim(rest.substr(colon + 1));
    if (line.value.ends_with('\r')) line.value.remove_suffix(1);
    if (line.value.starts_with('#')) line.value = {};
  }
  return line;
}

bool BeginsBlockText(std::string_view value) {
  return !value.empty() && (value[0] == '|' || value[0] == '>') && value.size() <= 3;
}

// Whether a quoted text begins in `value` and does not end in it.
bool LeavesQuoteOpen(std::string_view value) {
  if (value.empty() || (value[0] != '\'' && value[0] != '"')) return false;
  return std::count(value.begin(), value.end(), value[0]) % 2 == 1;
}

// Whether no field and no item can begin like this.
bool CanOnlyBeText(std::string_view text, const Line& line) {
  return line.key.empty() && !line.item && text.find(": ") == std::string_view::npos &&
         !text.ends_with(':') &&
         std::string_view("\"'?{}[]*&!%@-").find(text[0]) == std::string_view::npos;
}

class Repairer {
 public:
  explicit Repairer(int first_line) : number_(first_line) {}

  // Lines that left their block text: refused by the API server, although not by every parser.
  bool any_left() const { return any_left_; }

  YamlRepair Repair(std::string_view text) {
    for (const std::string_view line : Split(text, '\n')) {
      if (!repair_.text.empty() || !first_) repair_.text += '\n';
      first_ = false;
      repair_.text += Repaired(line);
      ++number_;
    }
    return std::move(repair_);
  }

 private:
  std::string Repaired(std::string_view text) {
    const Line line = Look(text);
    if (line.blank) return std::string(text);
    if (in_block_) {
      if (block_indent_ == 0) block_indent_ = line.indent;
      if (line.indent > block_owner_) return InBlock(text, line);
      if (block_quote_open_ || CanOnlyBeText(text.substr(line.indent), line)) {
        return IntoBlock(text, line);
      }
      in_block_ = false;
    }
    if (quote_ != 0) {
      if (std::count(text.begin(), text.end(), quote_) % 2 == 1) quote_ = 0;
      return std::string(text);
    }
    if (line.key.empty()) {
      if (line.item) Open(line.indent);
      return std::string(text);
    }
    return Field(text, line);
  }

  std::string InBlock(std::string_view text, const Line& line) {
    NoteQuote(text, line);
    return std::string(text);
  }

  std::string IntoBlock(std::string_view text, const Line& line) {
    Change(Concat("the line leaves the text that began at line ", block_line_,
                  "; its other lines are at column ", block_indent_ + 1));
    any_left_ = true;
    NoteQuote(text, line);
    return std::string(block_indent_ + 2, ' ') + std::string(text.substr(line.indent));
  }

  // Of YAML inside the block text.
  void NoteQuote(std::string_view text, const Line& line) {
    if (block_quote_open_) {
      const char quote = block_quote_;
      if (std::count(text.begin(), text.end(), quote) % 2 == 1) block_quote_open_ = false;
    } else if (LeavesQuoteOpen(line.value)) {
      block_quote_open_ = true;
      block_quote_ = line.value[0];
    }
  }

  std::string Field(std::string_view text, const Line& line) {
    size_t column = line.key_column;
    const bool below_a_value = !previous_value_.empty() && !line.item;
    if (below_a_value && line.indent > previous_column_) {
      column = previous_column_;
    } else {
      size_t closed = 0;
      while (levels_.size() > 1 && levels_.back() > line.indent) {
        closed = levels_.back();
        levels_.pop_back();
      }
      // Between two levels: the deeper one, which its neighbours above are on.
      if (closed > 0 && levels_.back() < line.indent && !line.item) column = closed;
    }
    std::string out(text);
    if (column != line.key_column) {
      Change(Concat("'", line.key, "' stands at column ", line.key_column + 1,
                    "; the fields beside it are at column ", column + 1));
      out = std::string(column, ' ') + std::string(text.substr(line.key_column));
    }
    if (line.item) Open(line.indent);
    Open(column);
    previous_column_ = column;
    previous_value_ = line.value;
    if (BeginsBlockText(line.value)) {
      in_block_ = true;
      block_owner_ = column;
      block_indent_ = 0;
      block_line_ = number_;
      block_quote_open_ = false;
      previous_value_ = {};
    } else if (LeavesQuoteOpen(line.value)) {
      quote_ = line.value[0];
    }
    return out;
  }

  void Open(size_t column) {
    while (!levels_.empty() && levels_.back() > column) levels_.pop_back();
    if (levels_.empty() || levels_.back() < column) levels_.push_back(column);
  }

  void Change(std::string what) { repair_.changes.push_back({number_, std::move(what)}); }

  YamlRepair repair_;
  int number_;
  bool first_ = true;
  bool any_left_ = false;
  std::vector<size_t> levels_;  // Columns of the mappings and lists that are open.
  size_t previous_column_ = 0;
  std::string_view previous_value_;
  char quote_ = 0;  // Of a quoted text of several lines; 0: none is open.
  bool in_block_ = false;
  size_t block_owner_ = 0;   // The column of the key that the block text belongs to.
  size_t block_indent_ = 0;  // 0: its first line has not come.
  int block_line_ = 0;
  bool block_quote_open_ = false;
  char block_quote_ = 0;
};

}  // namespace

std::optional<YamlRepair> RepairYaml(std::string_view text, int first_line) {
  const bool parses = options::ParseYaml(text, "").ok();
  Repairer repairer(first_line);
  YamlRepair repair = repairer.Repair(text);
  if (repair.changes.empty() || (parses && !repairer.any_left())) return std::nullopt;
  if (!options::ParseYaml(repair.text, "").ok()) return std::nullopt;
  return repair;
}

}  // namespace tepal::diagnosis
