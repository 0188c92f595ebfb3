// One container: its image, command, probes and rights, put right.

#include <algorithm>
#include <set>

#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/fix_manifests.h"
#include "apps/diagnosis/images.h"
#include "apps/diagnosis/nginx_text.h"
#include "apps/diagnosis/selectors.h"
#include "apps/diagnosis/shell_text.h"
#include "apps/diagnosis/yaml_edit.h"
#include "balancing/nginx_conf/reading.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

constexpr std::string_view kServerProgram = "tritonserver";
constexpr uint16_t kPrivilegedPortMax = 1023;

YamlNode TextList(const std::vector<std::string>& texts) {
  YamlNode list;
  list.kind = YamlNode::Kind::kSequence;
  list.line = 0;
  for (const std::string& text : texts) list.elements.push_back(TextNode(text));
  return list;
}

// The ports that the nginx.conf beside the manifests listens on.
std::set<std::string> ListenedPorts(const Bundle& bundle) {
  std::set<std::string> ports;
  for (const TextPart& part : bundle.nginx) {
    const auto reading = nginx_conf::ReadNginxConf(FillNginxBlanks(part.text, {}), part.file);
    if (!reading.ok()) continue;
    for (const auto& one : reading->config.listeners) ports.insert(Concat(one.address.port));
    if (reading->config.admin.has_value()) ports.insert(Concat(reading->config.admin->port));
  }
  return ports;
}

class ContainerFixer {
 public:
  ContainerFixer(YamlNode& container, YamlNode& pod_spec, const YamlNode& object,
                 FixContext& context)
      : container_(container), pod_spec_(pod_spec), object_(object), context_(context) {}

  void Fix() {
    const std::string image(TextAt(&container_, "image"));
    const bool replace = ImageProblem(image).has_value();
    const bool models = ServesModels(container_);
    if (replace && (models || IsMetricsAdapter(image) || IsNginx(image))) {
      SetText(container_, "image", context_.options.image);
    }
    if (models) FixServer();
    if (replace && IsMetricsAdapter(image)) FixAdapter();
    if (replace && IsNginx(image)) FixBalancer();
    DropFlags();
    AddRest(models, IsMetricsAdapter(image));
  }

 private:
  // The program itself instead of a shell with a list of commands.
  void FixServer() {
    const ContainerRun run = RunOf(container_);
    if (!run.shell) return;
    std::vector<std::string> words = ShellWords(run.script.text);
    const auto program = std::find_if(words.begin(), words.end(), [](const std::string& word) {
      return word == kServerProgram || word.ends_with("/tritonserver");
    });
    if (program == words.end()) return;
    // Words with a variable or a quote need the shell.
    for (auto word = program; word != words.end(); ++word) {
      if (word->find_first_of("$`'\"*;&|<>") != std::string::npos) return;
    }
    Set(container_, "command", TextList({*program}));
    Set(container_, "args", TextList(std::vector<std::string>(program + 1, words.end())));
  }

  void FixAdapter() {
    Set(container_, "command", TextList({"tepal", "metrics-api"}));
    const std::string service = ServiceOf(container_);
    YamlNode& args = Child(container_, "args");
    args.kind = YamlNode::Kind::kSequence;
    std::erase_if(args.elements, [](const YamlNode& arg) {
      return arg.scalar.starts_with("--cert-dir=");  // It keeps its own in the APIServices.
    });
    bool served = false;
    for (YamlNode& arg : args.elements) {
      if (arg.scalar == "--prometheus-url=") {
        arg.scalar += context_.options.prometheus_url;
        context_.remarks.push_back(Concat(context_.file, ": --prometheus-url was empty: it is now ",
                                          context_.options.prometheus_url,
                                          ", the operator's own Service (or give "
                                          "--prometheus-url)"));
      }
      served |= arg.scalar.starts_with("--apiservice-name");
    }
    if (served || service.empty()) return;
    args.elements.push_back(TextNode(Concat("--apiservice-name=", service)));
    args.elements.push_back(TextNode(Concat("--apiservice-namespace=", Namespace())));
  }

  std::string_view Namespace() const {
    const std::string_view text = TextAt(&object_, "metadata.namespace");
    return text.empty() ? "default" : text;
  }

  // The Service that an APIService of the bundle names.
  std::string ServiceOf(const YamlNode&) const {
    for (const Manifest* api : context_.bundle.OfKind("APIService")) {
      if (TextAt(api->get(), "spec.service.namespace") == Namespace()) {
        return std::string(TextAt(api->get(), "spec.service.name"));
      }
    }
    return {};
  }

  void FixBalancer() {
    Set(container_, "command", TextList({"tepal", "balance"}));
    std::string folder = "/etc/nginx/conf.d";
    for (const YamlNode& mount : ListAt(&container_, "volumeMounts")) {
      folder = TextAt(&mount, "mountPath");
    }
    Set(container_, "args", TextList({Concat("--nginx-conf=", folder, "/nginx.conf")}));
    const std::set<std::string> listened = ListenedPorts(context_.bundle);
    YamlNode* const ports = FindIn(&container_, "ports");
    if (ports == nullptr) return;
    if (!listened.empty()) {
      std::erase_if(ports->elements, [&listened](const YamlNode& port) {
        return listened.count(std::string(TextAt(&port, "containerPort"))) == 0;
      });
    }
    for (const YamlNode& port : ports->elements) {
      const auto number = ParseNumber<uint16_t>(TextAt(&port, "containerPort"));
      if (!number.has_value() || *number > kPrivilegedPortMax) continue;
      // A port below 1024 without being root.
      SetDefault(Child(pod_spec_, "securityContext"), "sysctls",
                 "[{name: net.ipv4.ip_unprivileged_port_start, value: \"0\"}]");
    }
  }

  void DropFlags() {
    YamlNode* const args = FindIn(&container_, "args");
    if (args == nullptr || RunOf(container_).shell) return;
    for (YamlNode& arg : args->elements) {
      if (arg.scalar == "--strict-model-config=true") {
        arg.scalar = "--disable-auto-complete-config";
      } else if (arg.scalar.starts_with("--v=")) {
        if (ParseNumber<int>(std::string_view(arg.scalar).substr(4)).value_or(0) > 7) {
          arg.scalar = "--v=2";
        }
      }
    }
    std::erase_if(args->elements, [](const YamlNode& arg) {
      return arg.scalar.starts_with("--strict-model-config");
    });
  }

  // The port of this number by its name, or the number; as Inline.
  std::string PortOf(std::string_view number) const {
    const auto& ports = ListAt(&container_, "ports");
    const YamlNode* found = ports.empty() ? nullptr : &ports.front();
    for (const YamlNode& port : ports) {
      if (TextAt(&port, "containerPort") == number) found = &port;
    }
    if (found == nullptr) return std::string(number);
    const std::string_view name = TextAt(found, "name");
    if (!name.empty()) return Inline(name);
    const auto parsed = ParseNumber<uint16_t>(TextAt(found, "containerPort"));
    return parsed.has_value() ? Concat(*parsed) : std::string(number);
  }

  void AddRest(bool models, bool adapter) {
    const std::string kind(TextAt(&object_, "kind"));
    const bool serves = !ListAt(&container_, "ports").empty() && kind != "Job" && kind != "CronJob";
    if (serves) AddProbes(models, adapter);
    if (serves && !adapter && kind != "DaemonSet") {
      SetDefault(Child(container_, "lifecycle"), "preStop", "{sleep: {seconds: 5}}");
    }
    YamlNode& own = Child(container_, "securityContext");
    const YamlNode* const of_pod = Find(&pod_spec_, "securityContext");
    if (IsTrue(&own, "privileged")) return;
    if (Find(of_pod, "runAsNonRoot") == nullptr && Find(of_pod, "runAsUser") == nullptr &&
        Find(&own, "runAsUser") == nullptr) {
      SetDefault(own, "runAsNonRoot", "true");
    }
    SetDefault(own, "allowPrivilegeEscalation", "false");
    SetDefault(Child(own, "capabilities"), "drop", "[ALL]");
    if (Find(of_pod, "seccompProfile") == nullptr) {
      SetDefault(own, "seccompProfile", "{type: RuntimeDefault}");
    }
    AddRequests();
  }

  void AddProbes(bool models, bool adapter) {
    if (models) {
      const std::string port = PortOf("8000");
      const auto get = [&port](std::string_view path) {
        return Concat("httpGet: {path: ", path, ", port: ", port, "}\n");
      };
      // Ten minutes to load the models.
      SetDefault(container_, "startupProbe",
                 get("/v2/health/ready") + "periodSeconds: 2\nfailureThreshold: 300\n");
      SetDefault(container_, "readinessProbe", get("/v2/health/ready") + "periodSeconds: 2\n");
      return SetDefault(container_, "livenessProbe", get("/v2/health/live"));
    }
    const std::string port = PortOf(adapter ? "6443" : "80");
    const auto probe = [&](std::string_view path) {
      return adapter ? Concat("httpGet: {path: ", path, ", port: ", port, ", scheme: HTTPS}\n")
                     : Concat("tcpSocket: {port: ", port, "}\n");
    };
    SetDefault(container_, "readinessProbe", probe("/readyz"));
    SetDefault(container_, "livenessProbe", probe("/livez"));
  }

  void AddRequests() {
    const auto& limits = MembersAt(&container_, "resources.limits");
    const bool exclusive = std::any_of(limits.begin(), limits.end(), [](const YamlMember& limit) {
      return IsExclusiveResource(limit.name);
    });
    if (!exclusive) return;
    YamlNode& resources = Child(container_, "resources");
    SetDefault(Child(resources, "limits"), "memory", "2Gi");
    SetDefault(Child(resources, "requests"), "cpu", "500m");
    SetDefault(Child(resources, "requests"), "memory", "2Gi");
  }

  YamlNode& container_;
  YamlNode& pod_spec_;
  const YamlNode& object_;
  FixContext& context_;
};

}  // namespace

void FixContainer(YamlNode& container, YamlNode& pod_spec, const YamlNode& object,
                  FixContext& context) {
  ContainerFixer(container, pod_spec, object, context).Fix();
}

}  // namespace tepal::diagnosis
