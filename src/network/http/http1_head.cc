#include "network/http/http1_head.h"

#include <array>
#include <cstring>

#include "core/base/text.h"

namespace tepal::http {

namespace {

constexpr std::array<bool, 256> MakeTable(std::string_view more) {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = true;
  for (const char c : more) table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr auto kTokenChars = MakeTable("!#$%&'*+-.^_`|~");
constexpr auto kHostChars = MakeTable("-._~!$&'()*+;=:%[]");

bool AllIn(const std::array<bool, 256>& table, std::string_view text) {
  bool good = true;
  for (const char c : text) good &= table[static_cast<unsigned char>(c)];
  return good;
}

// Visible characters, spaces, tabs and anything above ASCII.
bool IsFieldValue(std::string_view text) {
  bool good = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    good &= (byte >= 0x20 && byte != 0x7f) || byte == '\t';
  }
  return good;
}

bool IsVisible(std::string_view text) {
  bool good = true;
  for (const char c : text) good &= c > 0x20 && c < 0x7f && c != '#';
  return good;
}

// What a field means to the session itself.
enum class Known {
  kNo,
  kTe,
  kHost,
  kExpect,
  kHopByHop,  // keep-alive, proxy-connection, upgrade: dropped.
  kConnection,
  kContentLength,
  kTransferEncoding,
};

Known Recognise(std::string_view name) {
  switch (name.size()) {
    case 2:
      return EqualsIgnoreCase(name, "te") ? Known::kTe : Known::kNo;
    case 4:
      return EqualsIgnoreCase(name, "host") ? Known::kHost : Known::kNo;
    case 6:
      return EqualsIgnoreCase(name, "expect") ? Known::kExpect : Known::kNo;
    case 7:
      return EqualsIgnoreCase(name, "upgrade") ? Known::kHopByHop : Known::kNo;
    case 10:
      if (EqualsIgnoreCase(name, "connection")) return Known::kConnection;
      return EqualsIgnoreCase(name, "keep-alive") ? Known::kHopByHop : Known::kNo;
    case 14:
      return EqualsIgnoreCase(name, "content-length") ? Known::kContentLength : Known::kNo;
    case 16:
      return EqualsIgnoreCase(name, "proxy-connection") ? Known::kHopByHop : Known::kNo;
    case 17:
      return EqualsIgnoreCase(name, "transfer-encoding") ? Known::kTransferEncoding : Known::kNo;
    default:
      return Known::kNo;
  }
}

Refusal ReadContentLength(std::string_view value, Framing& framing) {
  if (value.empty() || value.find_first_not_of("0123456789") != std::string_view::npos) {
    return {400, "Content-Length is not a number"};
  }
  // Digits that do not fit are a length too, and too large for any limit.
  const uint64_t length = ParseNumber<uint64_t>(value).value_or(UINT64_MAX);
  if (framing.content_length.has_value() && *framing.content_length != length) {
    return {400, "Content-Length is given twice, differently"};
  }
  framing.content_length = length;
  return {};
}

Refusal ReadTransferEncoding(std::string_view value, Framing& framing) {
  if (framing.transfer_encoding) return {400, "Transfer-Encoding is given twice"};
  framing.transfer_encoding = true;
  framing.chunked = EqualsIgnoreCase(value, "chunked");
  return framing.chunked ? Refusal() : Refusal{501, "Transfer-Encoding other than chunked"};
}

void ReadConnection(std::string_view value, Framing& framing) {
  for (const std::string_view part : Split(value, ',')) {
    const std::string_view option = Trim(part);
    if (EqualsIgnoreCase(option, "close")) {
      framing.close = true;
    } else if (EqualsIgnoreCase(option, "keep-alive")) {
      framing.keep_alive = true;
    } else if (!option.empty() && Recognise(option) == Known::kNo) {
      framing.named_by_connection.append(option).push_back(',');
    }
  }
}

Refusal ReadHost(std::string_view value, std::string& host) {
  if (!AllIn(kHostChars, value)) return {400, "Host has a character that no host has"};
  host.assign(value);
  return {};
}

struct NameAndValue {
  std::string_view name;
  std::string_view value;
};

Refusal SplitField(std::string_view line, NameAndValue& field) {
  if (line.front() == ' ' || line.front() == '\t') return {400, "a folded header line"};
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {400, "a header line without a colon"};
  field = {line.substr(0, colon), Trim(line.substr(colon + 1))};
  if (!IsToken(field.name)) return {400, "a header name with a character that none has"};
  if (!IsFieldValue(field.value)) return {400, "a control character in a header value"};
  return {};
}

}  // namespace

bool IsToken(std::string_view text) { return !text.empty() && AllIn(kTokenChars, text); }

bool IsFramingField(std::string_view name) {
  const Known known = Recognise(name);
  return known == Known::kHopByHop || known == Known::kConnection ||
         known == Known::kContentLength || known == Known::kTransferEncoding;
}

void LineReader::Begin(size_t bytes_max) {
  bytes_left_ = bytes_max;
  scanned_ = 0;
}

LineReader::Outcome LineReader::Next(std::string_view& data, std::string_view& line) {
  const size_t at = data.find('\n', scanned_);
  if (at == std::string_view::npos) {
    scanned_ = data.size();
    return data.size() >= bytes_left_ ? Outcome::kTooLong : Outcome::kMore;
  }
  scanned_ = 0;
  if (at + 1 > bytes_left_) return Outcome::kTooLong;
  if (at == 0 || data[at - 1] != '\r') return Outcome::kBareLf;
  bytes_left_ -= at + 1;
  line = data.substr(0, at - 1);
  data.remove_prefix(at + 1);
  return Outcome::kLine;
}

Refusal ReadField(std::string_view line, Headers& headers, Framing& framing, std::string* host) {
  NameAndValue field;
  if (Refusal refusal = SplitField(line, field)) return refusal;
  switch (Recognise(field.name)) {
    case Known::kTe:
      if (EqualsIgnoreCase(field.value, "trailers")) headers.Add(field.name, field.value);
      return {};
    case Known::kHost:
      if (host != nullptr) return ReadHost(field.value, *host);
      break;
    case Known::kExpect:
      if (host == nullptr) break;  // Only requests expect.
      if (!EqualsIgnoreCase(field.value, "100-continue")) return {417, "an unknown expectation"};
      framing.expect_continue = true;
      return {};
    case Known::kHopByHop:
      return {};
    case Known::kConnection:
      ReadConnection(field.value, framing);
      return {};
    case Known::kContentLength:
      return ReadContentLength(field.value, framing);
    case Known::kTransferEncoding:
      return ReadTransferEncoding(field.value, framing);
    case Known::kNo:
      break;
  }
  headers.Add(field.name, field.value);
  return {};
}

Refusal ReadTrailer(std::string_view line, Headers& trailers) {
  NameAndValue field;
  if (Refusal refusal = SplitField(line, field)) return refusal;
  if (Recognise(field.name) == Known::kNo) trailers.Add(field.name, field.value);
  return {};
}

void RemoveConnectionFields(const Framing& framing, Headers& headers) {
  if (framing.named_by_connection.empty()) return;
  for (const std::string_view name : Split(framing.named_by_connection, ',')) {
    headers.Remove(name);
  }
}

RequestHeadReader::RequestHeadReader(const Limits& limits) : limits_(limits) { Begin(); }

void RequestHeadReader::Begin() {
  head = RequestHead();
  framing = Framing();
  refusal = Refusal();
  lines_.Begin(limits_.header_bytes_max);
  begun_ = has_request_line_ = done_ = has_host_ = false;
}

RequestHeadReader::Outcome RequestHeadReader::Read(std::string_view& data) {
  begun_ = begun_ || !data.empty();
  while (!done_) {
    std::string_view line;
    switch (lines_.Next(data, line)) {
      case LineReader::Outcome::kMore:
        return Outcome::kMore;
      case LineReader::Outcome::kLine:
        refusal = ReadLine(line);
        break;
      case LineReader::Outcome::kBareLf:
        refusal = {400, "a line that ends without CR"};
        break;
      case LineReader::Outcome::kTooLong:
        refusal = has_request_line_ ? Refusal{431, "the request's header is too large"}
                                    : Refusal{414, "the request line is too long"};
        break;
    }
    if (refusal) return Outcome::kRefused;
  }
  return Outcome::kDone;
}

Refusal RequestHeadReader::ReadLine(std::string_view line) {
  if (!has_request_line_) {
    // RFC 9112 section 2.2: empty lines before a request are ignored.
    return line.empty() ? Refusal() : ReadRequestLine(line);
  }
  if (line.empty()) return End();
  if (head.headers.size() >= limits_.header_count_max) {
    return {431, "the request has too many header fields"};
  }
  if (line.size() >= 5 && line[4] == ':' && EqualsIgnoreCase(line.substr(0, 4), "host")) {
    if (has_host_) return {400, "Host is given twice"};
    has_host_ = true;
  }
  return ReadField(line, head.headers, framing, &head.authority);
}

Refusal RequestHeadReader::ReadRequestLine(std::string_view line) {
  has_request_line_ = true;
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return {400, "a malformed request line"};
  const std::string_view version = line.substr(last + 1);
  if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || version[6] != '.' ||
      version[5] < '0' || version[5] > '9' || version[7] < '0' || version[7] > '9') {
    return {400, "a malformed request line"};
  }
  if (version[5] != '1') return {505, "a version of HTTP other than 1.0, 1.1 and 2"};
  head.version = version[7] == '0' ? Version::kHttp10 : Version::kHttp11;
  if (!IsToken(line.substr(0, first))) return {400, "a malformed method"};
  head.method.assign(line.substr(0, first));
  head.target.assign(line.substr(first + 1, last - first - 1));
  head.scheme = "http";
  if (head.target.empty() || !IsVisible(head.target)) {
    return {400, "a request target with a character that none has"};
  }
  return {};
}

// RFC 9112 section 3.2: origin-form, absolute-form, or the asterisk of OPTIONS.
Refusal RequestHeadReader::ReadTarget(std::string_view target) {
  if (head.method == "CONNECT") return {501, "CONNECT"};
  if (target.front() == '/') return {};
  if (target == "*" && head.method == "OPTIONS") return {};
  const size_t mark = target.find("://");
  if (mark == std::string_view::npos) return {400, "a malformed request target"};
  const std::string_view scheme = target.substr(0, mark);
  if (!EqualsIgnoreCase(scheme, "http") && !EqualsIgnoreCase(scheme, "https")) {
    return {400, "a request target of an unknown scheme"};
  }
  const std::string_view rest = target.substr(mark + 3);
  const size_t slash = rest.find_first_of("/?");
  const std::string_view authority = rest.substr(0, slash);
  if (authority.empty()) return {400, "a request target without a host"};
  if (Refusal refused = ReadHost(authority, head.authority)) return refused;
  std::string path;
  if (slash == std::string_view::npos || rest[slash] == '?') path = "/";
  if (slash != std::string_view::npos) path += rest.substr(slash);
  head.target = std::move(path);
  return {};
}

Refusal RequestHeadReader::End() {
  if (Refusal refused = ReadTarget(head.target)) return refused;
  if (!has_host_ && head.version == Version::kHttp11) {
    return {400, "Host is missing"};
  }
  if (framing.transfer_encoding) {
    if (head.version == Version::kHttp10) return {400, "Transfer-Encoding in HTTP/1.0"};
    if (framing.content_length) return {400, "Content-Length beside Transfer-Encoding"};
  }
  if (head.version == Version::kHttp10) framing.expect_continue = false;
  if (framing.content_length.value_or(0) > limits_.body_bytes_max) {
    return {413, "the request's body is too large"};
  }
  RemoveConnectionFields(framing, head.headers);
  head.content_length = framing.content_length;
  head.has_body = framing.chunked || framing.content_length.value_or(0) > 0;
  done_ = true;
  return {};
}

ResponseHeadReader::ResponseHeadReader(const Limits& limits) : limits_(limits) { Begin(); }

void ResponseHeadReader::Begin() {
  head = ResponseHead();
  framing = Framing();
  refusal = Refusal();
  http10 = false;
  has_status_line_ = false;
  lines_.Begin(limits_.header_bytes_max);
}

ResponseHeadReader::Outcome ResponseHeadReader::Read(std::string_view& data) {
  while (true) {
    std::string_view line;
    switch (lines_.Next(data, line)) {
      case LineReader::Outcome::kMore:
        return Outcome::kMore;
      case LineReader::Outcome::kBareLf:
        refusal = {502, "a line that ends without CR"};
        break;
      case LineReader::Outcome::kTooLong:
        refusal = {502, "its header is too large"};
        break;
      case LineReader::Outcome::kLine:
        if (!has_status_line_) {
          refusal = ReadStatusLine(line);
        } else if (line.empty()) {
          refusal = End();
          if (!refusal) return Outcome::kDone;
        } else if (head.headers.size() >= limits_.header_count_max) {
          refusal = {502, "it has too many header fields"};
        } else {
          refusal = ReadField(line, head.headers, framing, nullptr);
        }
        break;
    }
    if (refusal) return Outcome::kRefused;
  }
}

// "HTTP/1.1 200 OK"; the phrase may be missing, with its space.
Refusal ResponseHeadReader::ReadStatusLine(std::string_view line) {
  has_status_line_ = true;
  const Refusal malformed = {502, "a malformed status line"};
  if (line.size() < 12 || line.substr(0, 7) != "HTTP/1." || line[7] < '0' || line[7] > '9' ||
      line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) {
    return malformed;
  }
  http10 = line[7] == '0';
  const auto status = ParseNumber<int>(line.substr(9, 3));
  if (!status.has_value() || *status < 100) return malformed;
  if (!IsFieldValue(line.substr(12))) return malformed;
  head.status = *status;
  return {};
}

Refusal ResponseHeadReader::End() {
  if (framing.transfer_encoding && framing.content_length) {
    return {502, "Content-Length beside Transfer-Encoding"};
  }
  if (framing.transfer_encoding && http10) return {502, "Transfer-Encoding in HTTP/1.0"};
  RemoveConnectionFields(framing, head.headers);
  head.content_length = framing.content_length;
  return {};
}

}  // namespace tepal::http
