// The only place that knows yaml-cpp: its tree becomes ours, its exceptions a Status.

#include <yaml-cpp/yaml.h>

#include <set>

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
      auto& [name, node] = to.members.emplace_back(key, YamlNode());
      RETURN_IF_ERROR(Convert(member.second, node));
      node.line = member.first.Mark().line + 1;  // The key's line is where a person looks.
    }
    return {};
  }

  const std::string& file_;
  int nodes_ = 0;
};

}  // namespace

Result<YamlNode> ParseYaml(std::string_view text, const std::string& file) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.empty() || documents[0].IsNull()) {
      YamlNode empty;
      empty.kind = YamlNode::Kind::kMapping;
      return empty;
    }
    if (documents.size() > 1) {
      return InvalidArgument(Concat(file, ":", documents[1].Mark().line + 1, ":",
                                    documents[1].Mark().column + 1,
                                    ": a second document; expected one"));
    }
    return Converter(file).Convert(documents[0]);
  } catch (const YAML::Exception& error) {
    return InvalidArgument(
        Concat(file, ":", error.mark.line + 1, ":", error.mark.column + 1, ": ", error.msg));
  }
}

}  // namespace tepal::options
