#include "serving/frontend/http/body_json.h"

#include "core/base/text.h"
#include "serving/kserve/json_scanner.h"

namespace tepal {

Result<json::Value> ParseBodyJson(std::string_view text) {
  kserve::JsonScanner scanner(text);
  if (!scanner.Skip() || !scanner.End()) return scanner.error();
  Result<json::Value> value = json::Parse(text, kserve::JsonScanner::kDepthMax);
  if (value.ok()) return value;
  // What the one takes and the other does not: numbers that are not finite.
  return InvalidArgument(
      Concat("failed to parse the request JSON buffer: ", value.status().message()));
}

}  // namespace tepal
