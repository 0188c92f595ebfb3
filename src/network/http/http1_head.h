// Reads the heads of HTTP/1.1 messages (RFC 9112), strictly.
//
// What two readers could understand differently is refused, because a proxy and a server that
// disagree on where a message ends, or for whom it is, let one client smuggle requests into
// another's: bare LF, folded lines, space before a colon, Content-Length beside Transfer-Encoding,
// lists of lengths, codings other than chunked, HTTP/1.1 without Host, and Host twice.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "network/http/message.h"
#include "network/http/session.h"

namespace tepal::http {

// Why a message was refused: the status to answer with and a sentence; empty `why`: it was not.
struct Refusal {
  int status = 0;
  std::string_view why;
  explicit operator bool() const { return status != 0; }
};

// Cuts a run of bytes into lines that end in CRLF.
class LineReader {
 public:
  enum class Outcome { kLine, kMore, kBareLf, kTooLong };

  // `bytes_max`: of all lines together, ends included.
  void Begin(size_t bytes_max);

  // Takes one line off the front of `data`. After kMore, the next call's data must begin with the
  // same bytes again.
  Outcome Next(std::string_view& data, std::string_view& line);

 private:
  size_t bytes_left_ = 0;
  size_t scanned_ = 0;
};

// What the fields say about where a message ends and what becomes of the connection.
struct Framing {
  std::optional<uint64_t> content_length;
  bool transfer_encoding = false;
  bool chunked = false;
  bool close = false;
  bool keep_alive = false;
  bool expect_continue = false;
  std::string named_by_connection;  // Other options of `connection`, each with a comma behind.
};

// Reads one field line into `headers`, or into `framing` and `host` where it belongs there.
// `host`: null where Host is a field like any other.
Refusal ReadField(std::string_view line, Headers& headers, Framing& framing, std::string* host);

// A field of a trailer section; what frames messages is dropped.
Refusal ReadTrailer(std::string_view line, Headers& trailers);

// Removes what `connection` named.
void RemoveConnectionFields(const Framing& framing, Headers& headers);

// A head, line by line, whatever pieces it comes in.
class RequestHeadReader {
 public:
  enum class Outcome { kMore, kDone, kRefused };
  explicit RequestHeadReader(const Limits& limits);

  void Begin();
  Outcome Read(std::string_view& data);

  // After kDone; may be moved from.
  RequestHead head;
  Framing framing;
  Refusal refusal;  // After kRefused.

  bool begun() const { return begun_; }

 private:
  Refusal ReadLine(std::string_view line);
  Refusal ReadRequestLine(std::string_view line);
  Refusal ReadTarget(std::string_view target);
  Refusal End();

  const Limits& limits_;
  LineReader lines_;
  bool begun_ = false;
  bool has_request_line_ = false;
  bool done_ = false;
  bool has_host_ = false;
};

class ResponseHeadReader {
 public:
  using Outcome = RequestHeadReader::Outcome;
  explicit ResponseHeadReader(const Limits& limits);

  void Begin();
  Outcome Read(std::string_view& data);

  ResponseHead head;
  Framing framing;
  Refusal refusal;
  bool http10 = false;

 private:
  Refusal ReadStatusLine(std::string_view line);
  Refusal End();

  const Limits& limits_;
  LineReader lines_;
  bool has_status_line_ = false;
};

// Whether `name` is a field that the sessions write themselves.
bool IsFramingField(std::string_view name);

bool IsToken(std::string_view text);

}  // namespace tepal::http
