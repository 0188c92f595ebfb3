#include "serving/model_config/parse.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <utility>

#include "core/base/text.h"
#include "core/json/value.h"
#include "core/proto/model_config.pb.h"
#include "serving/model_config/proto_json.h"

namespace tepal {
namespace {

// Messages in messages; the deepest legitimate configuration needs 7.
constexpr int kDepthMax = 32;

// Protobuf's tokenizer sets tabs this wide when it counts columns.
constexpr int kTabWidth = 8;

struct Place {
  int line = 0;  // Both counted from 0.
  int column = 0;
};

void Advance(Place& place, char c) {
  if (c == '\n') {
    ++place.line;
    place.column = 0;
  } else {
    place.column += c == '\t' ? kTabWidth - place.column % kTabWidth : 1;
  }
}

Place PlaceOf(std::string_view text, size_t offset) {
  Place place;
  for (const char c : text.substr(0, offset)) Advance(place, c);
  return place;
}

size_t OffsetOf(std::string_view text, Place wanted) {
  Place at;
  size_t offset = 0;
  for (; offset < text.size(); ++offset) {
    if (at.line > wanted.line || (at.line == wanted.line && at.column >= wanted.column)) break;
    Advance(at, text[offset]);
  }
  return offset;
}

// The last text in double quotes of a message: the name it complains about.
std::string_view QuotedAtEnd(std::string_view message) {
  const size_t close = message.rfind('"');
  if (close == std::string_view::npos || close == 0 || message.size() - close > 2) return {};
  const size_t open = message.rfind('"', close - 1);
  return open == std::string_view::npos ? std::string_view()
                                        : message.substr(open + 1, close - open - 1);
}

class Errors final : public google::protobuf::io::ErrorCollector {
 public:
  Errors(std::string_view file, std::string_view text) : file_(file), text_(text) {}

  // Counted from 0; -1 for the text as a whole.
  void AddError(int line, int column, const std::string& message) override {
    if (!found_.empty()) found_.push_back('\n');
    found_ += file_;
    if (line >= 0) {
      const Place place = Culprit({line, column}, message);
      found_ += Concat(":", place.line + 1, ":", place.column + 1);
    }
    found_ += Concat(": ", message);
  }

  std::string Take() { return std::move(found_); }

 private:
  // Protobuf points behind a name it does not know, often at the next line; people look for the
  // name.
  Place Culprit(Place reported, std::string_view message) const {
    const std::string_view name = QuotedAtEnd(message);
    if (name.empty()) return reported;
    const size_t offset = text_.substr(0, OffsetOf(text_, reported)).rfind(name);
    return offset == std::string_view::npos ? reported : PlaceOf(text_, offset);
  }

  std::string_view file_;
  std::string_view text_;
  std::string found_;
};

}  // namespace

ConfigDraft::ConfigDraft() : message_(std::make_unique<inference::ModelConfig>()) {}
ConfigDraft::~ConfigDraft() = default;
ConfigDraft::ConfigDraft(ConfigDraft&& other) noexcept = default;
ConfigDraft& ConfigDraft::operator=(ConfigDraft&& other) noexcept = default;
ConfigDraft::ConfigDraft(const ConfigDraft& other)
    : message_(std::make_unique<inference::ModelConfig>(*other.message_)) {}
ConfigDraft& ConfigDraft::operator=(const ConfigDraft& other) {
  if (this != &other) message_ = std::make_unique<inference::ModelConfig>(*other.message_);
  return *this;
}

Result<ConfigDraft> ParseConfigText(std::string_view text, std::string_view file) {
  if (text.size() > kConfigBytesMax) {
    return ResourceExhausted(
        Concat(file, ": ", text.size(), " bytes, expected at most ", kConfigBytesMax));
  }
  if (const auto offset = json::FindInvalidUtf8(text)) {
    const Place place = PlaceOf(text, *offset);
    return InvalidArgument(Concat(file, ":", place.line + 1, ":", place.column + 1, ": not UTF-8"));
  }
  ConfigDraft draft;
  Errors errors(file, text);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  parser.SetRecursionLimit(kDepthMax);
  google::protobuf::io::ArrayInputStream stream(text.data(), static_cast<int>(text.size()));
  if (!parser.Parse(&stream, &draft.message())) {
    std::string what = errors.Take();
    return InvalidArgument(what.empty() ? Concat(file, ": not a model configuration") : what);
  }
  // Escapes as "\xff" could still bring bytes that no JSON may hold.
  if (json::FindInvalidUtf8(ConfigJson(draft))) {
    return InvalidArgument(Concat(file, ": the escapes of a text make bytes that are not UTF-8"));
  }
  return draft;
}

Result<ConfigDraft> ParseConfigJson(std::string_view json) {
  if (json.size() > kConfigBytesMax) {
    return ResourceExhausted(
        Concat("model configuration: ", json.size(), " bytes, expected at most ", kConfigBytesMax));
  }
  ConfigDraft draft;
  const auto status =
      google::protobuf::util::JsonStringToMessage(std::string(json), &draft.message());
  if (!status.ok()) {
    return InvalidArgument(Concat("model configuration in JSON: ", std::string(status.message())));
  }
  return draft;
}

std::string ConfigJson(const ConfigDraft& draft) {
  json::Writer writer;
  WriteProtoJson(draft.message(), writer);
  return writer.Take();
}

std::string ConfigText(const ConfigDraft& draft) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(draft.message(), &text);
  return text;
}

}  // namespace tepal
