// What the admin API answers with.

#pragma once

#include <string>

namespace tepal::lb {

struct AdminAnswer {
  int status = 200;
  std::string content_type = "application/json";
  std::string location;  // Header of that name; empty: none.
  std::string body;
};

}  // namespace tepal::lb
