// The text of an nginx.conf, changed line by line so that lines and comments stay.
//
// Pure. What the directives mean is read by balancing/nginx_conf.

#pragma once

#include <set>
#include <string>
#include <string_view>

namespace tepal::diagnosis {

struct NginxBlanks {
  std::string http_server = "blank.invalid:8000";  // For upstreams of proxy_pass.
  std::string grpc_server = "blank.invalid:8001";  // For upstreams of grpc_pass.
  std::string resolver = "127.0.0.1";              // Empty: the directive is made a comment.
};

// Addresses where a listing has lost them: "resolver  valid=5s;" and "server  resolve;".
std::string FillNginxBlanks(std::string_view text, const NginxBlanks& blanks);

// The faults that the reader of balancing/nginx_conf reports, put right: a zone of its own for each
// upstream, a health check for each, an API that changes nothing.
std::string CorrectNginxFaults(std::string_view text);

// Names of the upstreams that grpc_pass passes to, and of those with a health check.
struct NginxUpstreams {
  std::set<std::string> grpc;
  std::set<std::string> checked;
};
NginxUpstreams FindNginxUpstreams(std::string_view text);

}  // namespace tepal::diagnosis
