// A YAML file, read field by field with errors a person can act on.
//
// ParseYaml makes a tree that knows its lines. YamlReader reads typed fields from it and remembers
// every complaint, so that one run names all mistakes of a file, not the first:
//
//   tepal.yaml:12: field 'autoscaling.max': got 'seven', expected a whole number from 1 to 64
//   tepal.yaml:19: unknown field 'balancer.polcy'; did you mean 'policy'?
//
// Example:
//   ASSIGN_OR_RETURN(YamlNode tree, ParseYaml(text, "tepal.yaml"));
//   YamlReader root(tree, "tepal.yaml");
//   root.Text("model", &config.model);
//   YamlReader scaling = root.Section("autoscaling");
//   scaling.Int("max", &config.replicas_max, 1, 64);
//   RETURN_IF_ERROR(root.Finish());
//
// It opens no file and knows no schema: who reads the fields decides what they are. ParseYaml reads
// one document; SplitYaml cuts a file of several. Anchors and aliases work, tags and merge keys do
// not. One thread.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"

namespace tepal::options {

struct YamlMember;

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMapping };
  Kind kind = Kind::kNull;
  int line = 1;  // Where it begins, counted from 1.
  std::string scalar;
  bool quoted = false;  // Of a scalar: written so that it can be nothing but a text ("8000", |).
  std::vector<YamlNode> elements;
  std::vector<YamlMember> members;  // In the file's order; names are unique.
};

struct YamlMember {
  std::string name;
  YamlNode node;
};

// The largest file read; most nodes one file may hold, aliases counted each time they are used.
inline constexpr size_t kYamlBytesMax = 4 << 20;
inline constexpr int kYamlNodesMax = 100000;

// kInvalidArgument "FILE:LINE:COLUMN: what" for a text that is not YAML, a key that is not a plain
// text or comes twice. An empty text is an empty mapping.
// `first_line`: the number of the text's first line, for a text that is a part of a file.
Result<YamlNode> ParseYaml(std::string_view text, const std::string& file, int first_line = 1);

// One document of a file, as it is written; all of them together are the file but for the lines
// "---" and "..." between them.
struct YamlSlice {
  std::string_view text;
  int first_line = 1;
  bool blank = true;  // Nothing but comments, directives and empty lines.
};
std::vector<YamlSlice> SplitYaml(std::string_view text);

class YamlReader {
 public:
  // Of the root; `node` must outlive it and every section of it.
  YamlReader(const YamlNode& node, std::string file);

  // The field as it is, for one that may be of several kinds; null when absent. Makes the name
  // known.
  const YamlNode* Node(std::string_view key);
  // Whether the field is there, even as null. Makes the name known.
  bool Has(std::string_view key);

  // Each leaves `out` as it is when the field is absent or wrong.
  void Text(std::string_view key, std::string* out);
  void Flag(std::string_view key, bool* out);
  void Number(std::string_view key, double* out, double min = std::numeric_limits<double>::lowest(),
              double max = std::numeric_limits<double>::max());
  void Time(std::string_view key, Duration* out);                   // As options::ParseDuration.
  void Bytes(std::string_view key, uint64_t* out);                  // As options::ParseBytes.
  void Texts(std::string_view key, std::vector<std::string>* out);  // A list.
  void TextMap(std::string_view key, std::vector<std::pair<std::string, std::string>>* out);

  template <typename Integer>
  void Int(std::string_view key, Integer* out,
           std::type_identity_t<Integer> min = std::numeric_limits<Integer>::min(),
           std::type_identity_t<Integer> max = std::numeric_limits<Integer>::max()) {
    static_assert(std::is_integral_v<Integer> && sizeof(Integer) <= sizeof(int64_t) &&
                  (std::is_signed_v<Integer> || sizeof(Integer) < sizeof(int64_t)));
    int64_t value = 0;
    if (ReadInt(key, &value, min, max)) *out = static_cast<Integer>(value);
  }

  // One of the names listed; `out` gets its value.
  template <typename Value>
  void Choice(std::string_view key,
              std::initializer_list<std::pair<std::string_view, Value>> choices, Value* out) {
    std::vector<std::string_view> names;
    for (const auto& choice : choices) names.push_back(choice.first);
    size_t which = 0;
    if (ReadChoice(key, names, &which)) *out = (choices.begin() + which)->second;
  }

  // The mapping below `key`; when absent or null, one without any field.
  YamlReader Section(std::string_view key);
  // The mappings of the list below `key`, their paths being "key[0]" and so on.
  std::vector<YamlReader> Sections(std::string_view key);
  // The mappings below `key` by a name of the user's choosing, in the file's order.
  std::vector<std::pair<std::string, YamlReader>> NamedSections(std::string_view key);

  // Complains when the field is absent.
  void Require(std::string_view key, std::string_view expected);
  // A complaint of the caller's, at the field (or at this mapping when it is absent).
  void Fail(std::string_view key, std::string_view got, std::string_view expected);

  int line() const { return node_->line; }
  const std::string& file() const;

  // Of the whole file: every complaint, one a line in the file's order, and the unknown fields of
  // every mapping a reader was made for. kInvalidArgument if there is any.
  Status Finish();

 private:
  struct State;
  YamlReader(std::shared_ptr<State> state, const YamlNode& node, std::string path);

  const YamlNode* Find(std::string_view key);
  const YamlNode* FindScalar(std::string_view key, std::string_view expected);
  std::string PathOf(std::string_view key) const;
  void Complain(const YamlNode& node, std::string_view path, std::string_view expected);
  bool ReadInt(std::string_view key, int64_t* out, int64_t min, int64_t max);
  bool ReadChoice(std::string_view key, const std::vector<std::string_view>& names, size_t* out);

  std::shared_ptr<State> state_;
  const YamlNode* node_;
  std::string path_;  // "" at the root, "autoscaling" below.
};

}  // namespace tepal::options
