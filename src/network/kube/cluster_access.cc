#include "network/kube/cluster_access.h"

#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/options/yaml.h"

namespace tepal::kube {
namespace {

using options::YamlNode;

Status At(const std::string& file, const YamlNode& node, std::string_view what) {
  return InvalidArgument(Concat(file, ":", node.line, ": ", what));
}

const YamlNode* Member(const YamlNode& node, std::string_view name) {
  for (const options::YamlMember& member : node.members) {
    if (member.name == name) return &member.node;
  }
  return nullptr;
}

// One kubeconfig, read without complaint about fields that others have put there.
class Reader {
 public:
  Reader(const YamlNode& root, const std::string& file) : root_(root), file_(file) {}

  Result<ClusterAccess> Read(std::string_view context_name) {
    ClusterAccess access;
    std::string wanted(context_name);
    if (wanted.empty()) {
      ASSIGN_OR_RETURN(wanted, Text(root_, "current-context"));
      if (wanted.empty())
        return At(file_, root_,
                  "field 'current-context': got nothing, expected the name of a context");
    }
    ASSIGN_OR_RETURN(const YamlNode* context, Entry("contexts", "context", wanted));
    ASSIGN_OR_RETURN(const std::string name_space, Text(*context, "namespace"));
    if (!name_space.empty()) access.name_space = name_space;
    ASSIGN_OR_RETURN(const std::string cluster_name, Text(*context, "cluster"));
    ASSIGN_OR_RETURN(const YamlNode* cluster, Entry("clusters", "cluster", cluster_name));
    RETURN_IF_ERROR(ReadCluster(*cluster, access));
    ASSIGN_OR_RETURN(const std::string user_name, Text(*context, "user"));
    if (user_name.empty()) return access;
    ASSIGN_OR_RETURN(const YamlNode* user, Entry("users", "user", user_name));
    RETURN_IF_ERROR(ReadUser(*user, access));
    return access;
  }

 private:
  Result<std::string> Text(const YamlNode& node, std::string_view field) {
    const YamlNode* found = Member(node, field);
    if (found == nullptr || found->kind == YamlNode::Kind::kNull) return std::string();
    if (found->kind != YamlNode::Kind::kScalar) {
      return At(file_, *found,
                Concat("field '", field, "': got a list or a mapping, expected a text"));
    }
    return found->scalar;
  }

  // The mapping `inner` of the element of `list` that is called `name`.
  Result<const YamlNode*> Entry(std::string_view list, std::string_view inner,
                                const std::string& name) {
    const YamlNode* all = Member(root_, list);
    if (all != nullptr && all->kind == YamlNode::Kind::kSequence) {
      for (const YamlNode& element : all->elements) {
        ASSIGN_OR_RETURN(const std::string element_name, Text(element, "name"));
        if (element_name != name) continue;
        const YamlNode* found = Member(element, inner);
        if (found == nullptr || found->kind != YamlNode::Kind::kMapping) {
          return At(file_, element,
                    Concat("field '", list, "[", name, "].", inner, "': expected a mapping"));
        }
        return found;
      }
    }
    return At(file_, all == nullptr ? root_ : *all,
              Concat("field '", list, "': there is no entry named '", name, "'"));
  }

  Result<Material> MaterialOf(const YamlNode& node, std::string_view field) {
    Material material;
    ASSIGN_OR_RETURN(const std::string data, Text(node, Concat(field, "-data")));
    ASSIGN_OR_RETURN(const std::string path, Text(node, field));
    if (!data.empty()) {
      std::optional<std::string> decoded = DecodeBase64(data);
      if (!decoded) {
        return At(file_, *Member(node, Concat(field, "-data")),
                  Concat("field '", field, "-data': expected base64"));
      }
      material.content = *std::move(decoded);
    } else if (!path.empty()) {
      material.path = Resolve(path);
    }
    return material;
  }

  Status ReadCluster(const YamlNode& cluster, ClusterAccess& access) {
    ASSIGN_OR_RETURN(const std::string server, Text(cluster, "server"));
    if (Status parsed = ParseServerUrl(server, access); !parsed.ok()) {
      const YamlNode* at = Member(cluster, "server");
      return At(file_, at == nullptr ? cluster : *at, Concat("field 'server': ", parsed.message()));
    }
    RETURN_IF_ERROR(Refuse(cluster, "proxy-url"));
    ASSIGN_OR_RETURN(access.tls_server_name, Text(cluster, "tls-server-name"));
    ASSIGN_OR_RETURN(const std::string insecure, Text(cluster, "insecure-skip-tls-verify"));
    if (!insecure.empty() && insecure != "true" && insecure != "false") {
      return At(
          file_, cluster,
          Concat("field 'insecure-skip-tls-verify': got '", insecure, "', expected true or false"));
    }
    access.verify_server = insecure != "true";
    ASSIGN_OR_RETURN(access.ca, MaterialOf(cluster, "certificate-authority"));
    return Status();
  }

  Status ReadUser(const YamlNode& user, ClusterAccess& access) {
    for (const std::string_view field : {"exec", "auth-provider", "username", "password", "as"}) {
      RETURN_IF_ERROR(Refuse(user, field));
    }
    ASSIGN_OR_RETURN(access.client_certificate, MaterialOf(user, "client-certificate"));
    ASSIGN_OR_RETURN(access.client_key, MaterialOf(user, "client-key"));
    if (access.client_certificate.empty() != access.client_key.empty()) {
      return At(file_, user,
                "fields 'client-certificate' and 'client-key': got one, expected both or none");
    }
    // As kubectl: a file wins over the text.
    ASSIGN_OR_RETURN(const std::string token_file, Text(user, "tokenFile"));
    if (!token_file.empty()) {
      access.token.path = Resolve(token_file);
    } else {
      ASSIGN_OR_RETURN(access.token.content, Text(user, "token"));
    }
    return Status();
  }

  Status Refuse(const YamlNode& node, std::string_view field) {
    const YamlNode* found = Member(node, field);
    if (found == nullptr || found->kind == YamlNode::Kind::kNull) return Status();
    return At(file_, *found,
              Concat("field '", field,
                     "' is not supported: expected a client certificate, a token or a token file"));
  }

  std::string Resolve(const std::string& path) const {
    if (path.starts_with('/')) return path;
    const size_t slash = file_.rfind('/');
    return slash == std::string::npos ? path : file_.substr(0, slash + 1) + path;
  }

  const YamlNode& root_;
  const std::string& file_;
};

}  // namespace

Status ParseServerUrl(std::string_view url, ClusterAccess& access) {
  const auto complain = [&] {
    return InvalidArgument(Concat("got '", url, "', expected a URL as https://HOST:PORT"));
  };
  if (url.starts_with("https://")) {
    access.tls = true;
    url.remove_prefix(8);
  } else if (url.starts_with("http://")) {
    access.tls = false;
    url.remove_prefix(7);
  } else {
    return complain();
  }
  const size_t slash = url.find('/');
  std::string_view authority = url.substr(0, slash);
  if (slash != std::string_view::npos) {
    std::string_view prefix = url.substr(slash);
    while (prefix.ends_with('/')) prefix.remove_suffix(1);
    access.path_prefix = prefix;
  }
  access.port = access.tls ? 443 : 80;
  // A colon behind the bracket of an IPv6 address, or the only one.
  const size_t bracket = authority.find(']');
  const size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    const auto port = ParseNumber<uint16_t>(authority.substr(colon + 1));
    if (!port || *port == 0) return complain();
    access.port = *port;
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']')) {
    authority = authority.substr(1, authority.size() - 2);
  }
  if (authority.empty() || authority.find_first_of("@?# \t\r\n[]") != std::string_view::npos) {
    return complain();
  }
  access.host = authority;
  return Status();
}

Result<ClusterAccess> ParseKubeconfig(std::string_view text, const std::string& file,
                                      std::string_view context) {
  if (text.size() > kKubeconfigBytesMax) {
    return InvalidArgument(
        Concat(file, ": ", text.size(), " bytes, expected at most ", kKubeconfigBytesMax));
  }
  ASSIGN_OR_RETURN(const options::YamlNode root, options::ParseYaml(text, file));
  return Reader(root, file).Read(context);
}

Result<ClusterAccess> InClusterAccess(std::string_view host, std::string_view port,
                                      std::string_view name_space, const std::string& directory) {
  ClusterAccess access;
  if (host.empty()) {
    return FailedPrecondition(
        "KUBERNETES_SERVICE_HOST is not set: this is no pod of Kubernetes; name a kubeconfig file");
  }
  access.host = host;
  const auto number = ParseNumber<uint16_t>(port);
  if (!number || *number == 0) {
    return InvalidArgument(
        Concat("KUBERNETES_SERVICE_PORT: got '", port, "', expected a port from 1 to 65535"));
  }
  access.port = *number;
  access.ca.path = directory + "/ca.crt";
  access.token.path = directory + "/token";
  const std::string_view name = Trim(Split(name_space, '\n').front());
  if (!name.empty()) access.name_space = name;
  return access;
}

}  // namespace tepal::kube
