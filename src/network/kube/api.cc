#include "network/kube/api.h"

#include "core/base/text.h"

namespace tepal::kube {
namespace {

bool Unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

StatusCode CodeOf(int http_status, std::string_view reason) {
  switch (http_status) {
    case 400:
    case 413:
    case 415:
    case 422:
      return StatusCode::kInvalidArgument;
    case 401:
      return StatusCode::kUnauthenticated;
    case 403:
      return StatusCode::kPermissionDenied;
    case 404:
      return StatusCode::kNotFound;
    case 409:
      return reason == "AlreadyExists" ? StatusCode::kAlreadyExists : StatusCode::kAborted;
    case 410:
      return StatusCode::kOutOfRange;
    case 429:
      return StatusCode::kResourceExhausted;
    case 504:
      return StatusCode::kDeadlineExceeded;
    default:
      return http_status >= 500 ? StatusCode::kUnavailable : StatusCode::kUnknown;
  }
}

void FillFromStatus(Answer& answer) {
  answer.reason = TextAt(answer.body, "reason");
  std::string_view message = TextAt(answer.body, "message");
  if (const json::Value* details = answer.body.Find("details")) {
    const json::Value* seconds = details->Find("retryAfterSeconds");
    if (seconds != nullptr && seconds->AsInt() != nullptr && !answer.retry_after &&
        *seconds->AsInt() >= 0 && *seconds->AsInt() < 1'000'000) {
      answer.retry_after = std::chrono::seconds(*seconds->AsInt());
    }
  }
  if (message.empty()) message = "the API server gave no message";
  const std::string_view what = answer.reason.empty() ? "error" : std::string_view(answer.reason);
  answer.status = Status(CodeOf(answer.http_status, answer.reason),
                         Concat(what, " (HTTP ", answer.http_status, "): ", message));
}

bool IsStatusObject(const json::Value& value) { return TextAt(value, "kind") == "Status"; }

const std::string* MetadataText(const json::Value& object, std::string_view map,
                                std::string_view name) {
  const json::Value* metadata = object.Find("metadata");
  const json::Value* texts = metadata == nullptr ? nullptr : metadata->Find(map);
  const json::Value* text = texts == nullptr ? nullptr : texts->Find(name);
  return text == nullptr ? nullptr : text->AsString();
}

}  // namespace

std::string EscapeUrl(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (Unreserved(c)) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  return out;
}

std::string PathOf(const Collection& collection) {
  const Resource& resource = collection.resource;
  std::string path =
      resource.group.empty() ? "/api/" : Concat("/apis/", EscapeUrl(resource.group), "/");
  path += EscapeUrl(resource.version);
  if (resource.namespaced && !collection.name_space.empty()) {
    path += Concat("/namespaces/", EscapeUrl(collection.name_space));
  }
  return path + Concat("/", EscapeUrl(resource.plural));
}

std::string PathOf(const ObjectRef& object) {
  std::string path = PathOf(Collection{object.resource, object.name_space});
  path += Concat("/", EscapeUrl(object.name));
  if (!object.subresource.empty()) path += Concat("/", EscapeUrl(object.subresource));
  return path;
}

Answer MakeAnswer(int http_status, std::string_view body, std::string_view retry_after_header) {
  Answer answer;
  answer.http_status = http_status;
  if (const auto seconds = ParseNumber<uint32_t>(retry_after_header)) {
    answer.retry_after = std::chrono::seconds(*seconds);
  }
  const bool good = http_status >= 200 && http_status < 300;
  Result<json::Value> parsed = json::Parse(body);
  if (parsed.ok()) answer.body = *std::move(parsed);
  if (good) {
    if (!parsed.ok() && !body.empty()) {
      answer.status = parsed.status().WithContext("the API server's answer is no JSON");
    }
    return answer;
  }
  if (IsStatusObject(answer.body)) {
    FillFromStatus(answer);
  } else {
    // A proxy before the server, or a path that it does not have.
    answer.status =
        Status(CodeOf(http_status, {}),
               Concat("HTTP ", http_status, " without a Status: ", Trim(body.substr(0, 200))));
  }
  return answer;
}

Answer FailedAnswer(Status why) {
  Answer answer;
  answer.status = std::move(why);
  return answer;
}

Answer AnswerOfStatusObject(json::Value object) {
  Answer answer;
  const json::Value* code = object.Find("code");
  answer.http_status =
      code != nullptr && code->AsInt() != nullptr && *code->AsInt() >= 400 && *code->AsInt() < 600
          ? static_cast<int>(*code->AsInt())
          : 500;
  answer.body = std::move(object);
  FillFromStatus(answer);
  return answer;
}

std::string_view TextAt(const json::Value& object, std::string_view a, std::string_view b,
                        std::string_view c) {
  const json::Value* at = &object;
  for (const std::string_view name : {a, b, c}) {
    if (name.empty()) break;
    at = at->Find(name);
    if (at == nullptr) return {};
  }
  return at->AsString() == nullptr ? std::string_view() : std::string_view(*at->AsString());
}

std::string KeyOf(const json::Value& object) {
  const std::string_view name_space = NamespaceOf(object);
  return name_space.empty() ? std::string(NameOf(object)) : Concat(name_space, "/", NameOf(object));
}

const std::string* LabelOf(const json::Value& object, std::string_view name) {
  return MetadataText(object, "labels", name);
}

const std::string* AnnotationOf(const json::Value& object, std::string_view name) {
  return MetadataText(object, "annotations", name);
}

}  // namespace tepal::kube
