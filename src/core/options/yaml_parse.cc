// The only place that knows yaml-cpp: its tree becomes ours, its exceptions a Status.

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>

#include "core/base/text.h"
#include "core/options/yaml.h"

namespace tepal::options {
namespace {

class Converter {
 public:
  Converter(const std::string& file, int first_line) : file_(file), first_line_(first_line) {}

  Result<YamlNode> Convert(const YAML::Node& from) {
    YamlNode node;
    RETURN_IF_ERROR(Convert(from, node));
    return node;
  }

 private:
  Status Error(const YAML::Mark& mark, std::string_view what) const {
    return InvalidArgument(
        Concat(file_, ":", mark.line + first_line_, ":", mark.column + 1, ": ", what));
  }

  Status Convert(const YAML::Node& from, YamlNode& to) {
    if (++nodes_ > kYamlNodesMax) {
      return Error(from.Mark(), Concat("more than ", kYamlNodesMax, " values"));
    }
    to.line = from.Mark().line + first_line_;
    if (from.IsScalar()) {
      to.kind = YamlNode::Kind::kScalar;
      to.scalar = from.Scalar();
      to.quoted = from.Tag() == "!";
    } else if (from.IsSequence()) {
      to.kind = YamlNode::Kind::kSequence;
      for (const auto& element : from)
        RETURN_IF_ERROR(Convert(element, to.elements.emplace_back()));
    } else if (from.IsMap()) {
      return ConvertMapping(from, to);
    }
    return {};
  }

  Status ConvertMapping(const YAML::Node& from, YamlNode& to) {
    to.kind = YamlNode::Kind::kMapping;
    std::set<std::string> seen;
    for (const auto& member : from) {
      if (!member.first.IsScalar()) return Error(member.first.Mark(), "a key must be a plain text");
      const std::string& key = member.first.Scalar();
      if (!seen.insert(key).second) {
        return Error(member.first.Mark(), Concat("field '", key, "' is given twice"));
      }
      YamlNode& node = to.members.emplace_back(YamlMember{key, {}}).node;
      RETURN_IF_ERROR(Convert(member.second, node));
      node.line =
          member.first.Mark().line + first_line_;  // The key's line is where a person looks.
    }
    return {};
  }

  const std::string& file_;
  const int first_line_;
  int nodes_ = 0;
};

// Passes over a document and notes where it began.
class Passer final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { began_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  const YAML::Mark& began() const { return began_; }

 private:
  YAML::Mark began_;
};

// Where a second document begins. YAML::LoadAll would tell too, but after a stray "]" it makes
// empty documents until memory ends.
std::optional<YAML::Mark> SecondDocument(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Passer first;
  Passer second;
  if (!parser.HandleNextDocument(first) || !parser.HandleNextDocument(second)) return std::nullopt;
  return second.began();
}

// Whether the line is the document marker `marker`. It is one wherever it stands, in the middle of
// a quoted text too (YAML 1.2, c-forbidden).
bool IsMarker(std::string_view line, std::string_view marker) {
  return line.starts_with(marker) && (line.size() == marker.size() || line[marker.size()] == ' ' ||
                                      line[marker.size()] == '\t' || line[marker.size()] == '\r');
}

bool IsBlank(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t\r");
  return begin == std::string_view::npos || line[begin] == '#' || line.front() == '%';
}

}  // namespace

std::vector<YamlSlice> SplitYaml(std::string_view text) {
  std::vector<YamlSlice> slices(1);
  size_t slice_begin = 0;
  int number = 1;
  for (size_t begin = 0; begin < text.size(); ++number) {
    const size_t found = text.find('\n', begin);
    const size_t end = found == std::string_view::npos ? text.size() : found;
    const std::string_view line = text.substr(begin, end - begin);
    const bool starts = IsMarker(line, "---");
    if (starts || IsMarker(line, "...")) {
      slices.back().text = text.substr(slice_begin, begin - slice_begin);
      slice_begin = begin + 3;
      slices.push_back({.text = {}, .first_line = number, .blank = true});
      if (starts && !IsBlank(line.substr(3))) slices.back().blank = false;
    } else if (!line.empty() && !IsBlank(line)) {
      slices.back().blank = false;
    }
    begin = end + 1;
  }
  slices.back().text = text.substr(std::min(slice_begin, text.size()));
  return slices;
}

Result<YamlNode> ParseYaml(std::string_view text, const std::string& file, int first_line) {
  const auto error_at = [&](const YAML::Mark& mark, std::string_view what) {
    return InvalidArgument(
        Concat(file, ":", mark.line + first_line, ":", mark.column + 1, ": ", what));
  };
  if (text.size() > kYamlBytesMax) {
    return ResourceExhausted(
        Concat(file, ": ", text.size(), " bytes, expected at most ", kYamlBytesMax));
  }
  try {
    const std::string copy(text);
    if (const auto second = SecondDocument(copy)) {
      return error_at(*second, "a second document; expected one");
    }
    const YAML::Node document = YAML::Load(copy);
    if (!document.IsDefined() || document.IsNull()) {
      YamlNode empty;
      empty.kind = YamlNode::Kind::kMapping;
      return empty;
    }
    return Converter(file, first_line).Convert(document);
  } catch (const YAML::Exception& error) {
    return error_at(error.mark, error.msg);
  }
}

}  // namespace tepal::options
