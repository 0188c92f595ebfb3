// The only place that knows yaml-cpp: its tree becomes ours, its exceptions a Status.

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <optional>
#include <set>
#include <sstream>

#include "core/base/text.h"
#include "core/options/yaml.h"

namespace tepal::options {
namespace {

class Converter {
 public:
  explicit Converter(const std::string& file) : file_(file) {}

  Result<YamlNode> Convert(const YAML::Node& from) {
    YamlNode node;
    RETURN_IF_ERROR(Convert(from, node));
    return node;
  }

 private:
  Status Error(const YAML::Mark& mark, std::string_view what) const {
    return InvalidArgument(Concat(file_, ":", mark.line + 1, ":", mark.column + 1, ": ", what));
  }

  Status Convert(const YAML::Node& from, YamlNode& to) {
    if (++nodes_ > kYamlNodesMax) {
      return Error(from.Mark(), Concat("more than ", kYamlNodesMax, " values"));
    }
    to.line = from.Mark().line + 1;
    if (from.IsScalar()) {
      to.kind = YamlNode::Kind::kScalar;
      to.scalar = from.Scalar();
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
      node.line = member.first.Mark().line + 1;  // The key's line is where a person looks.
    }
    return {};
  }

  const std::string& file_;
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

}  // namespace

Result<YamlNode> ParseYaml(std::string_view text, const std::string& file) {
  const auto error_at = [&](const YAML::Mark& mark, std::string_view what) {
    return InvalidArgument(Concat(file, ":", mark.line + 1, ":", mark.column + 1, ": ", what));
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
    return Converter(file).Convert(document);
  } catch (const YAML::Exception& error) {
    return error_at(error.mark, error.msg);
  }
}

}  // namespace tepal::options
