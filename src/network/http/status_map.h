// A Status as HTTP tells it: the one place where codes are mapped.
//
// Triton 2.51 answers an INTERNAL error with 500, NOT_FOUND with 404, UNAVAILABLE with 503,
// UNSUPPORTED with 501 and everything else with 400; codes that it never sends over HTTP get the
// status that gateways give them.

#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "network/http/stream.h"

namespace tepal::http {

int HttpStatus(StatusCode code);

// {"error":"<message>"}, the error object of the v2 protocol; bytes that are not UTF-8 text are
// passed on as they are, control characters, quotes and backslashes escaped.
std::string ErrorBody(std::string_view message);

// A request whose body found no memory in the budget of the process (Limits::body_budget).
Status NoMemoryForBody();

// Answers with the status and the error object of `error`, which must not be OK.
// `further`: header fields beside the content-type.
void RespondError(ResponseSender& sender, const Status& error, const Headers* further = nullptr);
void RespondError(ResponseSender& sender, int http_status, std::string_view message,
                  const Headers* further = nullptr);

}  // namespace tepal::http
