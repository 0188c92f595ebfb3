#include "balancing/nginx_conf/access_log_reader.h"

namespace tepal::nginx_conf {

namespace {

constexpr char kOff[] = "off";
constexpr char kStdout[] = "stdout";

// What follows the file: the format, and parameters.
void ReadRest(Context& context, const Directive& directive) {
  for (size_t i = 1; i < directive.words.size(); ++i) {
    const std::string& word = directive.words[i];
    const Parameter parameter = SplitParameter(word);
    if (parameter.name == "buffer" || parameter.name == "flush") continue;  // A thread writes it.
    if (word == "gzip" || parameter.name == "gzip") {
      context.NotHonoured(directive.line, "access_log … gzip", "lines are written as they are");
    } else if (parameter.name == "if" && parameter.value) {
      context.NotHonoured(directive.line, "access_log … if", "every request is logged");
    } else if (i == 1 && !parameter.value) {
      context.Differs(directive.line,
                      Concat("lines of the access log are JSON, not of the format '", word, "'"));
    } else {
      context.Error(directive, word, "a format, buffer=, flush=, gzip or if=");
    }
  }
}

}  // namespace

bool ReadAccessLog(Context& context, const Directive& directive, bool inside,
                   gateway::GatewayConfig& config) {
  if (directive.name == "log_format") {
    context.NotHonoured(directive, "lines of the access log are JSON of our own");
    return true;
  }
  if (directive.name != "access_log") return false;
  const std::string path = directive.words.empty() ? std::string() : directive.words[0];
  if (path.empty()) {
    context.Error(directive.line, "'access_log': expected a file or off");
  } else if (path == kOff) {
    if (config.access_log != kOff) {
      context.NotHonoured(directive, "there is one access log, of every request");
    }
  } else if (path.starts_with("syslog:") || path.find('$') != std::string::npos) {
    context.NotHonoured(directive, "the access log is one file, or stdout");
  } else {
    const std::string wanted = path == "/dev/stdout" ? kStdout : path;
    ReadRest(context, directive);
    if (config.access_log != kOff && config.access_log != wanted) {
      context.NotHonoured(directive, Concat("there is one access log: ", config.access_log));
    } else if (config.access_log == kOff) {
      config.access_log = wanted;
      if (inside) context.Differs(directive.line, "requests of every server are logged there");
    }
  }
  return true;
}

}  // namespace tepal::nginx_conf
