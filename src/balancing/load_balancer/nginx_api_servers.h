// The servers of one upstream in the NGINX Plus API: listed, added, changed and removed.

#pragma once

#include <string_view>

#include "balancing/load_balancer/admin_answer.h"
#include "balancing/load_balancer/admin_subject.h"

namespace tepal::lb {

// An error in the API's shape.
struct ApiError {
  int status;
  std::string_view text;
  std::string_view code;
};
AdminAnswer ApiErrorAnswer(const ApiError& error, std::string_view request_id);

struct ServersRequest {
  AdminPool& pool;
  std::string_view method;
  std::string_view version;  // "9".
  std::string_view id;       // Of one server; empty: all of them.
  std::string_view body;
  std::string_view request_id;
};

AdminAnswer AnswerServers(const ServersRequest& request);

}  // namespace tepal::lb
