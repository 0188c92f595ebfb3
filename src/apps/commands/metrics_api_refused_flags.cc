#include "apps/commands/metrics_api_refused_flags.h"

#include <algorithm>
#include <initializer_list>

#include "apps/commands/flag_values.h"

namespace tepal::commands {
namespace {

constexpr char kNoAudit[] = "there is no audit log; the API server's own has every request";
constexpr char kOneLog[] = "the log goes to the standard error";
constexpr char kOneTls[] = "TLS 1.2 with AEAD suites and TLS 1.3 are spoken, and nothing else";

struct Refusal {
  const char* name;
  const char* reason;
  std::initializer_list<const char*> harmless;
};

const Refusal kRefusals[] = {
    {"tls-min-version", kOneTls, {"", "VersionTLS12"}},
    {"tls-sni-cert-key", "one certificate is shown to everybody", {"", "[]"}},
    {"external-hostname", "it is in no answer", {""}},
    {"feature-gates", "there are none", {""}},
    {"discovery-interval", "kinds are looked up when they are asked for", {"10m", "10m0s"}},
    {"audit-policy-file", kNoAudit, {""}},
    {"audit-log-path", kNoAudit, {""}},
    {"audit-webhook-config-file", kNoAudit, {""}},
    {"debug-socket-path", "there is no profiler to reach", {""}},
    {"log_dir", kOneLog, {""}},
    {"log-dir", kOneLog, {""}},
    {"log_file", kOneLog, {""}},
    {"log-file", kOneLog, {""}},
    {"logging-format", "the log has one format", {"text"}},
    {"vmodule", "one level is for the whole log", {""}},
    {"log_backtrace_at", "backtraces are not logged", {"", ":0"}},
    {"log-backtrace-at", "backtraces are not logged", {"", ":0"}},
    {"permit-port-sharing", "a port that is in use is an error", {"false"}},
    {"permit-address-sharing", "an address that is in use is an error", {"false"}},
    {"disable-http2-serving", "HTTP/2 is spoken to whom asks for it", {"false"}},
};

// Any value of these changes nothing here.
constexpr const char* kIndifferent[] = {"logtostderr",
                                        "alsologtostderr",
                                        "skip_headers",
                                        "skip-headers",
                                        "skip_log_headers",
                                        "skip-log-headers",
                                        "add_dir_header",
                                        "add-dir-header",
                                        "one_output",
                                        "one-output",
                                        "profiling",
                                        "contention-profiling",
                                        "enable-priority-and-fairness"};
constexpr const char* kIndifferentTexts[] = {"stderrthreshold", "log_file_max_size",
                                             "log-file-max-size", "log-flush-frequency"};

// What network/net/tls.cc speaks of TLS 1.2, in the names that Kubernetes has for it.
constexpr std::string_view kSuites[] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",  "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"};

// A list that allows all of them forbids nothing here; a shorter one would not be kept to.
Status CheckSuites(std::string_view text) {
  if (text.empty()) return {};
  const auto allowed = Split(text, ',');
  for (const std::string_view suite : kSuites) {
    const bool there = std::any_of(allowed.begin(), allowed.end(), [suite](std::string_view one) {
      return one == suite || one == Concat(suite, "_SHA256");
    });
    if (!there) return Expected(Concat("a list with ", suite, " too: ", kOneTls));
  }
  return {};
}

}  // namespace

void AddMetricsApiRefusedFlags(options::FlagSet& flags) {
  flags.Add("tls-cipher-suites",
            {.placeholder = "list", .default_text = "", .boolean = false, .read = CheckSuites},
            "Taken when it allows every suite that is spoken, and changes nothing.");
  for (const Refusal& refusal : kRefusals) {
    const bool boolean =
        refusal.harmless.size() == 1 && *refusal.harmless.begin() == std::string_view("false");
    flags.Refuse(refusal.name, refusal.reason, {refusal.harmless.begin(), refusal.harmless.end()},
                 boolean);
  }
  for (const char* name : kIndifferent) {
    flags.Add(name, Indifferent(true), "Taken, and changes nothing.");
  }
  for (const char* name : kIndifferentTexts) {
    flags.Add(name,
              {.placeholder = "text",
               .default_text = "",
               .boolean = false,
               .read = [](std::string_view) { return Status(); }},
              "Taken, and changes nothing.");
  }
}

}  // namespace tepal::commands
