// nginx.conf: what its own reader finds, and the ports of the pods that run it.

#include <algorithm>
#include <set>

#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/images.h"
#include "apps/diagnosis/nginx_text.h"
#include "apps/diagnosis/selectors.h"
#include "apps/diagnosis/shell_text.h"
#include "balancing/nginx_conf/reading.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

class NginxCheck {
 public:
  NginxCheck(const TextPart& part, Report& report) : part_(part), report_(report) {}

  // The ports that are listened on; empty when that cannot be told.
  std::set<uint16_t> Check() {
    auto reading = nginx_conf::ReadNginxConf(part_.text, part_.file);
    if (!reading.ok()) {
      // With the blanks filled in, the rest of the file can be read, and errors that came of
      // the blanks are gone.
      AddErrors(reading.status().message(), true);
      reading = nginx_conf::ReadNginxConf(FillNginxBlanks(part_.text, {}), part_.file);
      if (!reading.ok()) {
        AddErrors(reading.status().message(), false);
        return {};
      }
    }
    for (const nginx_conf::Note& note : reading->notes) AddNote(note);
    CheckAdmin(reading->config);
    std::set<uint16_t> ports;
    for (const auto& listener : reading->config.listeners) ports.insert(listener.address.port);
    if (reading->config.admin.has_value()) ports.insert(reading->config.admin->port);
    return ports;
  }

 private:
  void Add(int line, Severity severity, std::string code, std::string fault, std::string fix) {
    const int in_file = line + part_.first_line - 1;
    if (part_.owner != nullptr) {
      report_.Add(*part_.owner, in_file, severity, std::move(code), std::move(fault),
                  std::move(fix));
    } else {
      report_.Add(part_.file, in_file, severity, std::move(code), std::move(fault), std::move(fix));
    }
  }

  // "FILE:LINE: what", one a line; of blanks alone, or of everything else.
  void AddErrors(std::string_view message, bool blanks) {
    for (std::string_view one : Split(message, '\n')) {
      int line = 1;
      if (one.starts_with(part_.file + ":")) {
        one.remove_prefix(part_.file.size() + 1);
        const size_t colon = one.find(": ");
        line = ParseNumber<int>(one.substr(0, colon)).value_or(1);
        if (colon != std::string_view::npos) one = one.substr(colon + 2);
      }
      const bool blank = one.find("address") != std::string_view::npos &&
                         one.find("missing") != std::string_view::npos;
      if (blank != blanks) continue;
      const bool resolver = one.find("'resolver'") != std::string_view::npos;
      Add(line, Severity::kError, blank ? "blank" : "nginx", std::string(one),
          !blank ? "correct the directive"
          : resolver
              ? "write the address of the cluster's DNS, as 10.96.0.10"
              : "write the headless Service's name, as NAME.NAMESPACE.svc.cluster.local:8000");
    }
  }

  void AddNote(const nginx_conf::Note& note) {
    const bool fault = note.kind == nginx_conf::Note::Kind::kFault;
    const std::string kind = note.kind == nginx_conf::Note::Kind::kDiffers
                                 ? "honoured differently by tepal balance: "
                                 : "not honoured by tepal balance: ";
    const size_t remedy = note.text.find("; add ");
    if (!fault) return Add(note.line, Severity::kNote, "nginx-differs", kind + note.text, "");
    Add(note.line, Severity::kWarning, "nginx-fault", note.text.substr(0, remedy),
        remedy == std::string::npos ? "give each its own name" : note.text.substr(remedy + 2));
  }

  void CheckAdmin(const gateway::GatewayConfig& config) {
    if (!config.admin.has_value() || !config.admin_writes || !config.admin_tokens.empty()) return;
    if (config.admin_tls.has_value() && !config.admin_tls->files.client_ca.empty()) return;
    const size_t found = part_.text.find("write=on");
    if (found == std::string::npos || part_.text.find("auth_basic") != std::string::npos ||
        part_.text.find("allow ") != std::string::npos) {
      return;
    }
    const auto line = std::count(part_.text.begin(),
                                 part_.text.begin() + static_cast<std::ptrdiff_t>(found), '\n');
    Add(static_cast<int>(line) + 1, Severity::kWarning, "open-admin",
        "anybody who reaches the port may take servers out through the API",
        "write api write=off;, or let only some in (allow …; deny all;)");
  }

  const TextPart& part_;
  Report& report_;
};

// Ports that a balancer's pod declares and that no server of the file listens on.
void CheckPorts(const Workload& workload, const std::set<uint16_t>& listened, Report& report) {
  for (const YamlNode& container : workload.containers()) {
    const bool by_flag = !FlagsNamed(RunOf(container), "nginx-conf").empty();
    if (!by_flag && !IsNginx(TextAt(&container, "image"))) continue;
    for (const YamlNode& port : ListAt(&container, "ports")) {
      const std::string_view number = TextAt(&port, "containerPort");
      const auto parsed = ParseNumber<uint16_t>(number);
      if (!parsed.has_value() || listened.count(*parsed) > 0) continue;
      report.Add(
          *workload.manifest, port.line, Severity::kWarning, "dead-port",
          Concat("port ", number, " is published, but no server of nginx.conf listens on it"),
          "leave it out, or add the server");
    }
  }
}

}  // namespace

void CheckNginx(const Bundle& bundle, Report& report) {
  std::set<uint16_t> listened;
  for (const TextPart& part : bundle.nginx) listened.merge(NginxCheck(part, report).Check());
  if (listened.empty()) return;
  for (const Workload& workload : WorkloadsOf(bundle)) CheckPorts(workload, listened, report);
}

}  // namespace tepal::diagnosis
