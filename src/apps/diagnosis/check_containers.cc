// Images, commands, probes and privileges of each container.

#include <algorithm>
#include <array>

#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/images.h"
#include "apps/diagnosis/selectors.h"
#include "apps/diagnosis/shell_text.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

constexpr int kVerbosityMax = 7;  // From 8 on, clients log whole requests and answers.

class ContainerCheck {
 public:
  ContainerCheck(const Bundle& bundle, const Workload& workload, const YamlNode& container,
                 Report& report)
      : bundle_(bundle),
        workload_(workload),
        manifest_(*workload.manifest),
        container_(container),
        run_(RunOf(container)),
        report_(report) {}

  void Check() {
    CheckImage();
    CheckScript();
    CheckFlags();
    CheckProbes();
    CheckPreStop();
    CheckPrivileges();
    CheckResources();
  }

 private:
  void Add(int line, Severity severity, std::string code, std::string fault, std::string fix) {
    report_.Add(manifest_, line, severity, std::move(code), std::move(fault), std::move(fix));
  }
  std::string Words() const { return Concat("container '", TextAt(&container_, "name"), "'"); }

  void CheckImage() {
    const auto problem = ImageProblem(TextAt(&container_, "image"));
    if (!problem.has_value()) return;
    Add(LineOf(&container_, "image"), problem->gone ? Severity::kError : Severity::kWarning,
        problem->gone ? "dead-image" : "old-image", problem->fault, problem->fix);
  }

  void CheckScript() {
    if (!run_.shell) return;
    const std::vector<std::string> words = ShellWords(run_.script.text);
    const auto is_operator = [](const std::string& word) {
      return word == ";" || word == "&&" || word == "||" || word == "|" || word == "&";
    };
    for (size_t i = 0; i + 2 < words.size(); ++i) {
      if (words[i] != "cd" || is_operator(words[i + 1]) || is_operator(words[i + 2])) continue;
      Add(run_.script.line, Severity::kError, "missing-and",
          Concat("'cd ", words[i + 1], " ", words[i + 2],
                 "' gives cd two arguments: && is missing between them, so the program never "
                 "starts"),
          Concat("drop the shell: command: [\"", words[i + 2], "\"], workingDir: ", words[i + 1],
                 " (or write '&& exec' between them)"));
      return;
    }
    if (run_.script.text.find("while") != std::string::npos &&
        run_.script.text.find("sleep") != std::string::npos) {
      Add(run_.script.line, Severity::kWarning, "sleep-as-pid-1",
          "the container lives as long as the shell's loop: a server that dies is not restarted, "
          "and SIGTERM reaches nobody",
          "run the server in the foreground as the container's command (nginx -g 'daemon off;', or "
          "tepal balance)");
    } else if (std::find(words.begin(), words.end(), "exec") == words.end()) {
      Add(run_.script.line, Severity::kWarning, "shell-as-pid-1",
          "the shell is process 1 and does not pass SIGTERM on: the server is killed in the middle "
          "of its requests",
          "give the program itself as the command, or write 'exec' before it");
    }
  }

  void CheckFlags() {
    for (const FlagUse& use : FlagsNamed(run_, "strict-model-config")) {
      Add(use.line, Severity::kWarning, "deprecated-flag",
          "--strict-model-config is deprecated: current servers complete configurations by "
          "themselves",
          use.value == "true" ? "write --disable-auto-complete-config" : "leave it out");
    }
    for (const FlagUse& use : FlagsNamed(run_, "v")) {
      if (ParseNumber<int>(use.value).value_or(0) <= kVerbosityMax) continue;
      Add(use.line, Severity::kWarning, "verbose",
          Concat("--v=", use.value, " logs every request and answer whole, tokens with them"),
          "write --v=2, or leave it out");
    }
    const auto& words = run_.words;
    for (const RunWord& word : words) {
      if (!word.text.starts_with("--") || !word.text.ends_with("=")) continue;
      Add(word.line, Severity::kError, "blank",
          Concat("'", word.text, "' has no value: a blank that was not filled in"),
          word.text == "--prometheus-url="
              ? "write the URL of Prometheus, as http://prometheus-operated.monitoring.svc:9090"
              : "write the value, or leave the flag out");
    }
  }

  bool IsServer() const {
    return !ListAt(&container_, "ports").empty() && manifest_.kind != "Job" &&
           manifest_.kind != "CronJob";
  }

  void CheckProbes() {
    if (!IsServer()) return;
    std::string missing;
    const auto need = [&](const char* probe) {
      if (Find(&container_, probe) == nullptr)
        missing += Concat(missing.empty() ? "" : ", ", probe);
    };
    if (ServesModels(container_)) need("startupProbe");
    need("readinessProbe");
    need("livenessProbe");
    if (missing.empty()) return;
    const bool models = ServesModels(container_);
    Add(container_.line, Severity::kWarning, "no-probes",
        Concat(Words(), " has no ", missing, ": ",
               models ? "requests reach it before its models are loaded, and a server that hangs "
                        "stays in service"
                      : "a server that is not ready or hangs is not noticed"),
        models ? "readinessProbe and startupProbe: httpGet /v2/health/ready, livenessProbe: "
                 "httpGet /v2/health/live, on the HTTP port"
               : "add them on the server's health path, or a tcpSocket on its port");
  }

  // Whether requests come to the pod over the network from outside its own doing.
  bool IsServed() const {
    for (const YamlNode& port : ListAt(&container_, "ports")) {
      if (Find(&port, "hostPort") != nullptr) return true;
    }
    for (const Manifest* service : bundle_.OfKind("Service")) {
      const Labels selector = TextsAt(service->get(), "spec.selector");
      if (selector.empty() || service->Namespace() != manifest_.Namespace() ||
          !HasLabels(workload_.labels, selector)) {
        continue;
      }
      const auto services = bundle_.OfKind("APIService");
      const bool is_api = std::any_of(services.begin(), services.end(), [&](const Manifest* api) {
        return TextAt(api->get(), "spec.service.name") == service->name;
      });
      if (!is_api) return true;
    }
    return false;
  }

  void CheckPreStop() {
    if (!IsServer() || Find(Find(&container_, "lifecycle"), "preStop") != nullptr) return;
    if (manifest_.kind == "DaemonSet" || !IsServed()) return;
    Add(container_.line, Severity::kWarning, "no-prestop",
        Concat(Words(),
               " has no preStop: a pod gets SIGTERM while balancers still send to it, and "
               "those requests fail"),
        "add lifecycle.preStop.sleep.seconds: 5, and a terminationGracePeriodSeconds longer than "
        "the longest request");
  }

  void CheckPrivileges() {
    const YamlNode* const own = Find(&container_, "securityContext");
    const YamlNode* const of_pod = Find(workload_.spec, "securityContext");
    if (IsTrue(own, "privileged")) {
      Add(LineOf(&container_, "securityContext.privileged"), Severity::kNote, "privileged",
          Concat(Words(), " is privileged: it can do to the node what root can"),
          "make sure that it has to be");
      return;
    }
    std::string missing;
    const auto need = [&missing](bool given, const char* what) {
      if (!given) missing += Concat(missing.empty() ? "" : ", ", what);
    };
    const auto either = [&](std::string_view path) {
      return Find(own, path) != nullptr || Find(of_pod, path) != nullptr;
    };
    need(either("runAsNonRoot") || either("runAsUser"), "runAsNonRoot: true");
    need(Find(own, "allowPrivilegeEscalation") != nullptr, "allowPrivilegeEscalation: false");
    need(At(own, "capabilities.drop") != nullptr, "capabilities.drop: [ALL]");
    need(either("seccompProfile"), "seccompProfile.type: RuntimeDefault");
    if (missing.empty()) return;
    Add(container_.line, Severity::kWarning, "not-restricted",
        Concat(Words(),
               " may run as root with more rights than it uses; a namespace that enforces "
               "the restricted standard refuses it"),
        Concat("add to its securityContext: ", missing));
  }

  void CheckResources() {
    const auto& limits = MembersAt(&container_, "resources.limits");
    const bool exclusive = std::any_of(limits.begin(), limits.end(), [](const YamlMember& limit) {
      return IsExclusiveResource(limit.name);
    });
    const YamlNode* const requests = At(&container_, "resources.requests");
    const YamlNode* const bounds = At(&container_, "resources.limits");
    const bool says_memory =
        Find(requests, "memory") != nullptr || Find(bounds, "memory") != nullptr;
    if (!exclusive || says_memory) return;
    Add(LineOf(&container_, "resources"), Severity::kWarning, "no-requests",
        Concat(Words(),
               " holds a slot of a GPU but asks for no CPU and memory: it is the first "
               "that a node short of memory evicts"),
        "add resources.requests for cpu and memory, and a limit for memory");
  }

  const Bundle& bundle_;
  const Workload& workload_;
  const Manifest& manifest_;
  const YamlNode& container_;
  const ContainerRun run_;
  Report& report_;
};

}  // namespace

void CheckContainers(const Bundle& bundle, Report& report) {
  for (const Workload& workload : WorkloadsOf(bundle)) {
    for (const YamlNode& container : workload.containers()) {
      ContainerCheck(bundle, workload, container, report).Check();
    }
  }
}

}  // namespace tepal::diagnosis
