#include "network/kube/watch_decoder.h"

#include <optional>

#include "core/base/text.h"

namespace tepal::kube {
namespace {

std::optional<WatchEvent::Type> TypeOf(std::string_view name) {
  using Type = WatchEvent::Type;
  if (name == "ADDED") return Type::kAdded;
  if (name == "MODIFIED") return Type::kModified;
  if (name == "DELETED") return Type::kDeleted;
  if (name == "BOOKMARK") return Type::kBookmark;
  if (name == "ERROR") return Type::kError;
  return std::nullopt;
}

}  // namespace

Status WatchDecoder::Line(std::string_view line, std::vector<WatchEvent>& events) {
  if (Trim(line).empty()) return Status();
  Result<json::Value> parsed = json::Parse(line);
  if (!parsed.ok()) return parsed.status().WithContext("a line of the watch");
  const json::Value* type = parsed->Find("type");
  const json::Value* object = parsed->Find("object");
  if (type == nullptr || type->AsString() == nullptr || object == nullptr ||
      object->AsObject() == nullptr) {
    return InvalidArgument("a line of the watch: expected an object with 'type' and 'object'");
  }
  const auto known = TypeOf(*type->AsString());
  if (!known) {
    return InvalidArgument(Concat("a line of the watch: field 'type': got '",
                                  type->AsString()->substr(0, 40),
                                  "', expected ADDED, MODIFIED, DELETED, BOOKMARK or ERROR"));
  }
  events.push_back({*known, *object});
  return Status();
}

Status WatchDecoder::Feed(std::string_view bytes, std::vector<WatchEvent>& events) {
  if (failed_) return FailedPrecondition("the watch has failed before");
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const size_t piece = end == std::string_view::npos ? bytes.size() : end;
    if (rest_.size() + piece > line_bytes_max_) {
      failed_ = true;
      return ResourceExhausted(
          Concat("a line of the watch is longer than ", line_bytes_max_, " bytes"));
    }
    if (end == std::string_view::npos) {
      rest_.append(bytes);
      return Status();
    }
    Status read;
    if (rest_.empty()) {
      read = Line(bytes.substr(0, end), events);
    } else {
      rest_.append(bytes.substr(0, end));
      read = Line(rest_, events);
      rest_.clear();
    }
    bytes.remove_prefix(end + 1);
    if (!read.ok()) {
      failed_ = true;
      return read;
    }
  }
  return Status();
}

Status WatchDecoder::Finish() const {
  if (failed_ || Trim(rest_).empty()) return Status();
  return Unavailable(
      Concat("the watch ended in the middle of an event, after ", rest_.size(), " bytes of it"));
}

}  // namespace tepal::kube
