#include "network/http/status_map.h"

namespace tepal::http {

int HttpStatus(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return 200;
    case StatusCode::kInternal:
    case StatusCode::kDataLoss:
      return 500;
    case StatusCode::kNotFound:
      return 404;
    case StatusCode::kUnavailable:
    case StatusCode::kResourceExhausted:
      return 503;
    case StatusCode::kUnimplemented:
      return 501;
    case StatusCode::kDeadlineExceeded:
      return 504;
    case StatusCode::kPermissionDenied:
      return 403;
    case StatusCode::kUnauthenticated:
      return 401;
    case StatusCode::kCancelled:
    case StatusCode::kUnknown:
    case StatusCode::kInvalidArgument:
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kAborted:
    case StatusCode::kOutOfRange:
      return 400;
  }
  return 400;
}

namespace {

void AppendEscaped(std::string& out, char c) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20) {
    out += c;
    return;
  }
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

}  // namespace

std::string ErrorBody(std::string_view message) {
  std::string body = "{\"error\":\"";
  for (const char c : message) AppendEscaped(body, c);
  body += "\"}";
  return body;
}

Status NoMemoryForBody() {
  return ResourceExhausted("the server has no memory for the request's body now");
}

void RespondError(ResponseSender& sender, const Status& error, const Headers* further) {
  RespondError(sender, HttpStatus(error.code()), error.message(), further);
}

void RespondError(ResponseSender& sender, int http_status, std::string_view message,
                  const Headers* further) {
  ResponseHead head;
  if (further != nullptr) head.headers = *further;
  head.status = http_status;
  head.headers.Add("content-type", "application/json");
  BufferList body;
  body.push_back(Buffer::Copy(ErrorBody(message)));
  sender.Respond(std::move(head), std::move(body));
}

}  // namespace tepal::http
