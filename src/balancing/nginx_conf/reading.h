// What an nginx.conf means for our balancer.
//
// `http { }` may be around it or not (a file of conf.d). Read are: upstream with zone, server,
// least_conn, random, queue and keepalive; resolver; server with listen, location, proxy_pass,
// grpc_pass, health_check and match, api, time and size limits, proxy_next_upstream, access_log.
// Each directive that is not honoured is noted with its line and why, and so is what the file
// itself gets wrong. A file that cannot be meant (a syntax error, an unknown upstream, a value out
// of its range) is an error.
//
// Pure: opens no file and looks nothing up.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "balancing/gateway/config.h"
#include "core/base/result.h"

namespace tepal::nginx_conf {

struct Note {
  enum class Kind {
    kNotHonoured,  // It means something that this balancer does not do.
    kDiffers,      // It is honoured, but not quite as there.
    kFault,        // The file itself is at fault.
  };
  int line = 0;
  Kind kind = Kind::kNotHonoured;
  std::string text;
};

struct Reading {
  gateway::GatewayConfig config;
  std::vector<Note> notes;  // In order of lines.
};

// "nginx.conf:12: not honoured: proxy_cache (this balancer keeps no answers)".
std::string NoteText(const std::string& file, const Note& note);

// kInvalidArgument with every error, one a line. `file` is for messages.
Result<Reading> ReadNginxConf(std::string_view text, const std::string& file);

}  // namespace tepal::nginx_conf
