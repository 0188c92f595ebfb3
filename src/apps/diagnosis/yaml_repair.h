// YAML that does not parse, read as it was meant.
//
// Listings lose their indentation on the way through web pages: a field of a list item one column
// too far to the right, a field between two levels, a long line of a block text that begins at the
// margin. Each of these has one sensible reading. A text that is sound is never changed, and
// neither is one that these repairs do not make parse. (Our parser takes a block text's line at the
// margin where it is the file's last; the API server's does not, so that is repaired all the same.)
//
// Pure. Lines stay where they are, so that findings in the repaired text have the file's lines.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tepal::diagnosis {

struct YamlRepair {
  struct Change {
    int line = 1;
    std::string what;  // "'interval' stands at column 7; the fields beside it are at column 6"
  };
  std::string text;
  std::vector<Change> changes;
};

// Nothing when it is sound, or not even after the repairs. `first_line` as in ParseYaml.
std::optional<YamlRepair> RepairYaml(std::string_view text, int first_line = 1);

}  // namespace tepal::diagnosis
