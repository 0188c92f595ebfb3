#include "apps/diagnosis/nginx_text.h"

#include <re2/re2.h>

#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

// Calls `change` with each line, and the name of the upstream block it is in ("" outside).
template <typename Change>
std::string EachLine(std::string_view text, Change change) {
  static const RE2 kUpstream(R"(^\s*upstream\s+([^\s{]+)\s*\{)");
  std::string out;
  std::string upstream;
  int depth = 0;
  bool first = true;
  for (const std::string_view view : Split(text, '\n')) {
    std::string line(view);
    if (!first) out += '\n';
    first = false;
    RE2::PartialMatch(line, kUpstream, &upstream);
    change(line, upstream);
    for (const char c : line.substr(0, line.find('#'))) {
      if (c == '{') ++depth;
      if (c == '}') --depth;
    }
    if (depth == 0) upstream.clear();
    out += line;
  }
  return out;
}

// The location blocks: what passes where, and whether it is checked there.
template <typename See>
void EachPass(std::string_view text, See see) {
  static const RE2 kPass(R"((?s)\b(proxy|grpc)_pass\s+\w+://([^\s;/]+)[^;]*;([^{}]*))");
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string kind, name, behind;
    re2::StringPiece input(rest.data(), rest.size());
    re2::StringPiece groups[4];
    if (!kPass.Match(input, 0, input.size(), RE2::UNANCHORED, groups, 4)) return;
    const auto at = static_cast<size_t>(groups[0].data() - text.data());
    const size_t open = text.rfind('{', at);
    const std::string_view before =
        open == std::string_view::npos ? std::string_view() : text.substr(open, at - open);
    kind.assign(groups[1].data(), groups[1].size());
    name.assign(groups[2].data(), groups[2].size());
    behind.assign(groups[3].data(), groups[3].size());
    const bool checked = behind.find("health_check") != std::string::npos ||
                         before.find("health_check") != std::string_view::npos;
    see(kind == "grpc", name, checked);
    rest = text.substr(at + groups[0].size());
  }
}

}  // namespace

NginxUpstreams FindNginxUpstreams(std::string_view text) {
  NginxUpstreams found;
  EachPass(text, [&found](bool grpc, const std::string& name, bool checked) {
    if (grpc) found.grpc.insert(name);
    if (checked) found.checked.insert(name);
  });
  return found;
}

std::string FillNginxBlanks(std::string_view text, const NginxBlanks& blanks) {
  static const RE2 kResolver(R"(^(\s*)resolver(\s+[a-z0-9_]+=[^;]*)?;)");
  static const RE2 kServer(R"(\bserver\s+(resolve|[a-z_]+=[^;]*);)");
  const NginxUpstreams upstreams = FindNginxUpstreams(text);
  return EachLine(text, [&](std::string& line, const std::string& upstream) {
    if (!upstream.empty()) {
      const bool grpc = upstreams.grpc.count(upstream) > 0;
      const std::string& server = grpc ? blanks.grpc_server : blanks.http_server;
      RE2::Replace(&line, kServer, Concat("server ", server, " \\1;"));
    } else if (blanks.resolver.empty()) {
      RE2::Replace(&line, kResolver, "\\1# names are asked of the pod's own resolv.conf");
    } else {
      RE2::Replace(&line, kResolver, Concat("\\1resolver ", blanks.resolver, "\\2;"));
    }
  });
}

std::string CorrectNginxFaults(std::string_view text) {
  static const RE2 kZone(R"(\bzone\s+([^\s;]+)(\s+[^\s;]+)?\s*;)");
  static const RE2 kPass(R"(^(\s*)(proxy|grpc)_pass\s+\w+://([^\s;/]+)[^;]*;)");
  static const RE2 kApi(R"(\bapi\s+write=on\s*;)");
  const NginxUpstreams upstreams = FindNginxUpstreams(text);
  std::set<std::string> zones;
  std::set<std::string> checked = upstreams.checked;
  return EachLine(text, [&](std::string& line, const std::string& upstream) {
    std::string space, name;
    if (!upstream.empty() && RE2::PartialMatch(line, kZone, &name)) {
      if (!zones.insert(name).second) {
        zones.insert(upstream);
        RE2::Replace(&line, kZone, Concat("zone ", upstream, "\\2;"));
      }
      return;
    }
    std::string kind;
    if (RE2::PartialMatch(line, kPass, &space, &kind, &name) && checked.insert(name).second) {
      line +=
          Concat("\n", space,
                 kind == "grpc" ? "health_check type=grpc;" : "health_check uri=/v2/health/ready;");
    }
    RE2::Replace(&line, kApi, "api write=off;");
  });
}

}  // namespace tepal::diagnosis
